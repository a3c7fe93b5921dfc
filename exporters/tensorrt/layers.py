"""What each layer of a network computes in, read from the network itself: this needs no GPU."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import ParityError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.artifact import Json

__all__ = ["Layer", "check_layers", "layers_of", "products_by_precision"]

_PRODUCTS = frozenset({"CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY"})
"""Where the arithmetic is."""

_WANTED = {"fp16": "HALF", "int8": "INT8"}
_NAMED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """A row of the layer table.

    Attributes:
        type: TensorRT's name of it, such as ``CONVOLUTION``.
        precision: Type of its first output; of a product of two dequantised tensors, the type they were quantised to,
            since TensorRT multiplies those.
    """

    name: str
    type: str
    precision: str

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return {"name": self.name, "type": self.type, "precision": self.precision}


def layers_of(network: Any) -> list[Layer]:  # noqa: ANN401 - bindings have no types
    """The layers of a strongly typed network, in its order."""
    layers = [network.get_layer(number) for number in range(network.num_layers)]
    producers = {layer.get_output(number).name: layer for layer in layers for number in range(layer.num_outputs)}
    return [
        Layer(name=layer.name, type=layer.type.name, precision=_precision(layer, producers))
        for layer in layers
        if layer.num_outputs
    ]


def _precision(layer: Any, producers: Mapping[str, Any]) -> str:  # noqa: ANN401
    own: str = layer.get_output(0).dtype.name
    if layer.type.name not in _PRODUCTS or layer.num_inputs < 2:  # weights in the layer itself are never quantised
        return own
    sources = {_quantised_type(layer.get_input(number), producers) for number in (0, 1)}
    return sources.pop() or own if len(sources) == 1 else own


def _quantised_type(tensor: Any, producers: Mapping[str, Any]) -> str | None:  # noqa: ANN401
    """What the tensor was before it was dequantised; None when it was not."""
    producer = producers.get(tensor.name)
    while producer is not None and producer.type.name == "SHUFFLE":  # a transposed weight is still that weight
        producer = producers.get(producer.get_input(0).name)
    if producer is None or producer.type.name != "DEQUANTIZE":
        return None
    return str(producer.get_input(0).dtype.name)


def products_by_precision(layers: Sequence[Layer]) -> dict[str, int]:
    """Precision to how many convolutions and matrix products run in it."""
    return dict(sorted(Counter(layer.precision for layer in layers if layer.type in _PRODUCTS).items()))


def check_layers(layers: Sequence[Layer], precision: str, *, where: str) -> None:
    """Refuse an engine that would silently be a float one.

    Args:
        layers: Of the network it is built from.
        precision: What was asked for: ``float``, ``fp16`` or ``int8``.
        where: The ONNX file, for the message.

    Raises:
        ParityError: when no convolution, or without any no matrix product, runs in what was asked for.
    """
    products = [layer for layer in layers if layer.type in _PRODUCTS]
    asked = [layer for layer in products if layer.type != "MATRIX_MULTIPLY"] or products
    wanted = _WANTED.get(precision)
    if wanted is None or any(layer.precision == wanted for layer in asked):
        return
    named = ", ".join(f"{layer.name} ({layer.precision})" for layer in asked[:_NAMED])
    raise ParityError(
        f"an engine was asked for in {precision}, but none of its {len(asked)} convolutions runs in {wanted}",
        where=where,
        got=named or "no convolution and no matrix product",
        fix="build int8 from a Q/DQ file of dialect 'tensorrt', fp16 and float from float.onnx",
    )
