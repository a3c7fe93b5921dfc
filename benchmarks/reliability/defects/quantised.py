"""Defects of the INT8 form: its scales, zero points and integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.reliability.defects.defect import Defect
from benchmarks.reliability.defects.graph import changed_tensor, graph_defect, nodes, rolled

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.session import Array

__all__ = ["QUANTISED"]

_CONVOLUTION = ("weight", 3), ("weight scale", 4), ("scale", 6), ("zero point", 7), ("bias", 8)
_LINEAR = ("weight", 3), ("weight scale", 4), ("bias", 6)


def _of_input(place: int, change: Callable[[Array], Array]) -> Callable[[Any], None]:
    return lambda model: changed_tensor(model, nodes(model, "QuantizeLinear")[0].input[place], change)


def _of_convolution(number: int, part: str, change: Callable[[Array], Array]) -> Callable[[Any], None]:
    place = dict(_CONVOLUTION)[part]
    return lambda model: changed_tensor(model, nodes(model, "QLinearConv")[number].input[place], change)


def _of_linear(part: str, change: Callable[[Array], Array]) -> Callable[[Any], None]:
    place = dict(_LINEAR)[part]
    return lambda model: changed_tensor(model, nodes(model, "QGemm")[0].input[place], change)


def _first_only(factor: float) -> Callable[[Array], Array]:
    def change(value: Array) -> Array:
        value[0] *= factor
        return value

    return change


QUANTISED = tuple(
    Defect(name, graph_defect("model.onnx", change))
    for name, change in (
        ("the input's zero point is 64 too high", _of_input(2, lambda zero: zero + 64)),
        ("the input's scale is doubled", _of_input(1, lambda scale: 2 * scale)),
        ("an activation's zero point is 64 too high", _of_convolution(0, "zero point", lambda zero: zero + 64)),
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
