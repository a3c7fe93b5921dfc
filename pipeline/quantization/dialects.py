"""How each runtime wants Q/DQ written. One calibration serves all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import UnknownNameError

if TYPE_CHECKING:
    from pipeline.environment import Machine

__all__ = ["DIALECTS", "ELEMENTWISE", "Dialect", "dialect_named", "saturates"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """What a runtime's fusions look for.

    Attributes:
        name: As in file names and recipes.
        signed_activations: int8 rather than uint8.
        symmetric_activations: Zero point 0 (for uint8 activations it is never forced).
        quantized_bias: Bias as int32 with its own DequantizeLinear; else it stays float.
        weight_bits: 8, or 7 where the instruction set's 8-bit multiply-add saturates.
        guarded: A float convolution between INT8 neighbours is kept from the runtime's own quantiser: ONNX Runtime
            gives it weights with one scale for all channels (``WeightBiasQuantization``), unasked, which cost a
            MobileNet 35 points of accuracy.
        elementwise: Which of Add, Mul, Concat, pools and sigmoids run in INT8 too.
        float_results: Whose INT8 kernels can hand out float: where a network answers or chooses, nothing is won by
            rounding once more.
    """

    name: str
    signed_activations: bool
    symmetric_activations: bool
    quantized_bias: bool
    weight_bits: int
    guarded: bool
    elementwise: frozenset[str]
    float_results: frozenset[str]


ELEMENTWISE = frozenset({"Add", "Mul", "Concat", "AveragePool", "GlobalAveragePool", "Sigmoid"})
"""Operators without weights that run in INT8 where a value reaches them in it already: in ONNX Runtime all of them."""
_PRODUCTS = frozenset({"Gemm", "MatMul"})

DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect(
            name="ort-x86",
            signed_activations=False,
            symmetric_activations=False,
            quantized_bias=True,
            weight_bits=8,
            guarded=True,
            elementwise=ELEMENTWISE,
            float_results=_PRODUCTS,
        ),
        Dialect(
            name="ort-x86-7bit",
            signed_activations=False,
            symmetric_activations=False,
            quantized_bias=True,
            weight_bits=7,
            guarded=True,
            elementwise=ELEMENTWISE,
            float_results=_PRODUCTS,
        ),
        Dialect(
            name="ort-arm",
            signed_activations=True,
            symmetric_activations=False,
            quantized_bias=True,
            weight_bits=8,
            guarded=True,
            elementwise=ELEMENTWISE,
            float_results=_PRODUCTS,
        ),
        Dialect(
            name="tensorrt",
            signed_activations=True,
            symmetric_activations=True,
            quantized_bias=False,
            weight_bits=8,
            guarded=False,
            elementwise=frozenset({"Add", "Concat", "AveragePool", "GlobalAveragePool"}),
            float_results=_PRODUCTS | {"Conv", "ConvTranspose"},
        ),
    )
}
"""``ort-x86``: AVX-512 VNNI and AVX-VNNI multiply u8 by s8 exactly; without them AVX2 saturates in int16, which weights
of 7 bits avoid (``ort-x86-7bit``). TensorRT wants zero point 0 and refuses an int32 bias."""


def saturates(name: str, machine: Machine) -> bool:
    """Whether the machine's 8-bit multiply-add may saturate in the dialect's kernels: AVX2 without VNNI."""
    return name == "ort-x86" and "avx2" in machine.isa and not {"avx512_vnni", "avx_vnni"} & set(machine.isa)


def dialect_named(name: str) -> Dialect:
    """The dialect of that name.

    Raises:
        UnknownNameError: naming the nearest ones.
    """
    if name not in DIALECTS:
        raise UnknownNameError("Q/DQ dialect", name, DIALECTS)
    return DIALECTS[name]
