"""Defects of the INT8 form: its scales, zero points and integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.reliability.defects.defect import Defect
from benchmarks.reliability.defects.graph import changed_tensor, graph_defect, nodes, rolled

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.session import Array

__all__ = ["QUANTISED"]

_CONVOLUTION = ("weight", 3), ("weight scale", 4), ("scale", 6), ("bias", 8)
_LINEAR = ("weight", 3), ("weight scale", 4), ("bias", 6)


def _of_input(place: int, change: Callable[[Array], Array]) -> Callable[[Any], None]:
    return lambda model: changed_tensor(model, nodes(model, "QuantizeLinear")[0].input[place], change)


def _of_convolution(number: int, part: str, change: Callable[[Array], Array]) -> Callable[[Any], None]:
    place = dict(_CONVOLUTION)[part]
    return lambda model: changed_tensor(model, nodes(model, "QLinearConv")[number].input[place], change)


def _of_linear(part: str, change: Callable[[Array], Array]) -> Callable[[Any], None]:
    place = dict(_LINEAR)[part]
    return lambda model: changed_tensor(model, nodes(model, "QGemm")[0].input[place], change)


def _read_with_another_zero(number: int) -> Callable[[Any], None]:
    """Whoever reads an activation takes another zero point than whoever wrote it."""

    def change(model: Any) -> None:  # noqa: ANN401 - ModelProto
        from onnx import numpy_helper

        node = nodes(model, "QLinearConv")[number]
        (zero,) = (one for one in model.graph.initializer if one.name == node.input[2])
        value = numpy_helper.to_array(zero)
        another = (value.astype(int) + 32) % 256
        model.graph.initializer.append(numpy_helper.from_array(another.astype(value.dtype), f"another_zero_{number}"))
        node.input[2] = f"another_zero_{number}"

    return change


def _first_only(factor: float) -> Callable[[Array], Array]:
    def change(value: Array) -> Array:
        value[0] *= factor
        return value

    return change


QUANTISED = tuple(
    Defect(name, graph_defect("model.onnx", change))
    for name, change in (
        ("the input is read with another zero point than it was written with", _read_with_another_zero(0)),
        ("the input's scale is doubled", _of_input(1, lambda scale: 2 * scale)),
        ("an activation is read with another zero point than it was written with", _read_with_another_zero(1)),
        (
            "an activation's range is a sixteenth, the rest cut off",
            _of_convolution(1, "scale", lambda scale: scale / 16),
        ),
        ("each channel has its neighbour's scale", _of_convolution(1, "weight scale", rolled(0))),
        ("a bit of a scale's exponent flipped", _of_convolution(1, "weight scale", _first_only(2.0**16))),
        ("unsigned weights read as signed ones", _of_convolution(1, "weight", lambda weight: weight ^ -128)),
        ("weights in two bits", _of_convolution(1, "weight", lambda weight: weight // 64 * 64)),
        ("output channels off by one", _of_convolution(0, "weight", rolled(0))),
        ("kernels mirrored", _of_convolution(1, "weight", lambda weight: weight[..., ::-1])),
        ("a convolution without its bias", _of_convolution(1, "bias", lambda bias: 0 * bias)),
        ("the last layer's classes off by one", _of_linear("weight", rolled(0))),
        ("one class has four times its scale", _of_linear("weight scale", _first_only(4.0))),
    )
)
