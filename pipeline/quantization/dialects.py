"""How each runtime wants Q/DQ written. One calibration serves all of them."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import UnknownNameError

__all__ = ["DIALECTS", "Dialect", "dialect_named"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """What a runtime's fusions look for.

    Attributes:
        name: As in file names and recipes.
        signed_activations: int8 rather than uint8.
        symmetric_activations: Zero point 0 (for uint8 activations it is never forced).
        quantized_bias: Bias as int32 with its own DequantizeLinear; else it stays float.
        weight_bits: 8, or 7 where the instruction set's 8-bit multiply-add saturates.
        elementwise: Whether Add, Mul, Concat, pools and sigmoids run in INT8 too.
    """

    name: str
    signed_activations: bool
    symmetric_activations: bool
    quantized_bias: bool
    weight_bits: int
    elementwise: frozenset[str]


_ORT_ELEMENTWISE = frozenset({"Add", "Mul", "Concat", "AveragePool", "GlobalAveragePool", "Sigmoid"})

DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect(
            name="ort-x86",
            signed_activations=False,
            symmetric_activations=False,
            quantized_bias=True,
            weight_bits=8,
            elementwise=_ORT_ELEMENTWISE,
        ),
        Dialect(
            name="ort-x86-7bit",
            signed_activations=False,
            symmetric_activations=False,
            quantized_bias=True,
            weight_bits=7,
            elementwise=_ORT_ELEMENTWISE,
        ),
        Dialect(
            name="ort-arm",
            signed_activations=True,
            symmetric_activations=False,
            quantized_bias=True,
            weight_bits=8,
            elementwise=_ORT_ELEMENTWISE,
        ),
        Dialect(
            name="tensorrt",
            signed_activations=True,
            symmetric_activations=True,
            quantized_bias=False,
            weight_bits=8,
            elementwise=frozenset({"Add", "Concat", "AveragePool", "GlobalAveragePool"}),
        ),
    )
}
"""``ort-x86``: AVX-512 VNNI and AVX-VNNI multiply u8 by s8 exactly; without them AVX2 saturates in int16, which weights
of 7 bits avoid (``ort-x86-7bit``). TensorRT wants zero point 0 and refuses an int32 bias."""


def dialect_named(name: str) -> Dialect:
    """The dialect of that name.

    Raises:
        UnknownNameError: naming the nearest ones.
    """
    if name not in DIALECTS:
        raise UnknownNameError("Q/DQ dialect", name, DIALECTS)
    return DIALECTS[name]
