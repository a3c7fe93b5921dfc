"""Defects of the float graph that a network was exported to."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from benchmarks.reliability.defects.defect import Defect
from benchmarks.reliability.defects.graph import changed_tensor, graph_defect, nodes, rolled

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.session import Array

__all__ = ["LOWERED"]


def _softmax(times: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:  # noqa: ANN401 - ModelProto
        from onnx import helper

        (output,) = model.graph.output
        last = next(node for node in model.graph.node if output.name in node.output)
        names = [*(f"softmax_{number}" for number in range(times)), output.name]
        last.output[list(last.output).index(output.name)] = names[0]
        for before, after in pairwise(names):
            model.graph.node.append(helper.make_node("Softmax", [before], [after], axis=-1))

    return change


def _normalised_again(model: Any) -> None:  # noqa: ANN401 - ModelProto
    import numpy as np
    from onnx import helper, numpy_helper

    (given,) = model.graph.input
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == given.name:
                node.input[place] = "again"
    for name, value in (("again_mean", 0.5), ("again_std", 0.25)):
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    model.graph.node.insert(0, helper.make_node("Div", ["again_centred", "again_std"], ["again"]))
    model.graph.node.insert(0, helper.make_node("Sub", [given.name, "again_mean"], ["again_centred"]))


def _activation(operator: str, **attributes: float) -> Callable[[Any], None]:
    def change(model: Any) -> None:  # noqa: ANN401 - ModelProto
        from onnx import helper

        node = nodes(model, "Relu")[0]
        node.CopyFrom(helper.make_node(operator, list(node.input), list(node.output), **attributes))

    return change


def _padding(number: int, pads: tuple[int, ...]) -> Callable[[Any], None]:
    def change(model: Any) -> None:  # noqa: ANN401 - ModelProto
        (found,) = (one for one in nodes(model, "Conv")[number].attribute if one.name == "pads")
        found.ints[:] = pads

    return change


def _stale_statistics(weight: Array) -> Array:
    import numpy as np

    factors = np.random.default_rng(0).uniform(0.9, 1.1, len(weight))
    return weight * factors.reshape(-1, 1, 1, 1)


def _flipped_exponent(weight: Array) -> Array:
    weight.flat[0] *= 2.0**8
    return weight


def _channels_last(weight: Array) -> Array:
    """Columns as for features that were flattened with their channels last; the network's have 4 x 4 places."""
    return weight.reshape(len(weight), -1, 4, 4).transpose(0, 2, 3, 1).reshape(weight.shape)


def _of(operator: str, number: int, place: int, change: Callable[[Array], Array]) -> Callable[[Any], None]:
    return lambda model: changed_tensor(model, nodes(model, operator)[number].input[place], change)


LOWERED = tuple(
    Defect(name, graph_defect("float.onnx", change))
    for name, change in (
        ("softmax in the graph of a network that has none", _softmax(1)),
        ("softmax twice", _softmax(2)),
        ("stale statistics of a batch norm", _of("Conv", 0, 1, _stale_statistics)),
        ("normalised again within the graph", _normalised_again),
        ("an activation is gone", _activation("Identity")),
        ("a leaky activation", _activation("LeakyRelu", alpha=0.01)),
        ("padding on two sides only, a pixel off", _padding(0, (0, 0, 2, 2))),
        ("half a stride off", _padding(1, (0, 0, 1, 1))),
        ("swapped input channels", _of("Conv", 0, 1, lambda weight: weight[:, ::-1])),
        ("convolution for correlation", _of("Conv", 1, 1, lambda weight: weight[..., ::-1, ::-1])),
        ("a bit of a weight's exponent flipped", _of("Conv", 1, 1, _flipped_exponent)),
        ("weights in 16 bits", _of("Conv", 1, 1, lambda weight: weight.astype("float16"))),
        ("features flattened with the channels last", _of("Gemm", 0, 1, _channels_last)),
        ("the last bias dropped", _of("Gemm", 0, 2, lambda bias: 0 * bias)),
        ("outputs off by one", _of("Gemm", 0, 1, rolled(0))),
    )
)
