"""Where a graph stops computing features and begins to choose: what lies there decides on places, and stays float."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.quantization.graph import PASS_THROUGH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pipeline.quantization.graph import Graph

__all__ = ["choosing_nodes", "nodes_behind_choices", "smooth_outputs", "watching"]

_CHOOSES = frozenset({"TopK", "NonMaxSuppression", "ArgMax", "NonZero"})
"""Operators whose outcome is which of their values comes first: a value rounded to 256 steps ties with others."""

_PICKS = frozenset({"Gather", "GatherElements", "GatherND"})
"""Operators that pick by places, which are a choice where they are computed."""

_PLACES = {"RoiAlign": (1, 2), "GridSample": (1,)}
"""Inputs that say where to look in the feature map that is another input: coordinates, not features."""

_OF_A_BOX = (4, 4)
"""From four numbers that say a box to four others."""


def choosing_nodes(graph: Graph) -> frozenset[str]:
    """Names of the nodes that stay float because something is chosen by what they compute, or from what was chosen.

    Backward from every choice, through everything but convolutions and products with constant weights: the sigmoid,
    softmax and concatenation of a detector's heads, the decoding of its boxes. The mean of a distribution is decoding
    too, also where it is written as a product of a softmax with constants. Forward from every choice until such a
    layer is met again: suppression, RoIAlign, its weighing by levels. Nothing is known of names or of a task; a
    network that chooses nothing has none.
    """
    nodes = list(graph.model.graph.node)
    choices = [node for node in nodes if _is_choice(graph, node)]
    before = _walked(graph, choices, lambda node: _sources(graph, node))
    after = _walked(graph, choices, lambda node: _consumers(graph, node))
    return frozenset(before | after)


def smooth_outputs(graph: Graph) -> Callable[[str], tuple[str, ...]]:
    """A function from a layer's name to the tensors that tell what the layer's rounding does: they move smoothly.

    What is chosen jumps: two candidates change places for a rounding, and every number of the outputs is another one.
    So the features from which the next choice is made are looked at, a detector's heads; of a layer behind a choice,
    such as those that look at proposals, the features behind it. A network that chooses nothing has its outputs.
    """
    choosing = choosing_nodes(graph)
    if not choosing:
        return lambda _: tuple(output.name for output in graph.model.graph.output)
    behind = nodes_behind_choices(graph)
    features: dict[bool, dict[str, None]] = {False: {}, True: {}}
    taken = [name for node in graph.model.graph.node if node.name in choosing for name in node.input]
    for name in (*taken, *(output.name for output in graph.model.graph.output)):
        source = graph.producer.get(name)
        if source is not None and source.name not in choosing and graph.is_float(name):
            features[source.name in behind][name] = None
    return lambda layer: tuple(features[layer in behind])


def nodes_behind_choices(graph: Graph) -> frozenset[str]:
    """Names of the choices and of all nodes that get something of what was chosen, layers with weights too."""
    choices = [node for node in graph.model.graph.node if _is_choice(graph, node)]
    return frozenset(_walked(graph, choices, lambda node: _consumers(graph, node), through_layers=True))


def watching(model: Any, names: Sequence[str]) -> Any:  # noqa: ANN401 - ModelProto
    """A copy of a float or Q/DQ graph whose outputs are those tensors, as the nodes behind them get them."""
    import onnx

    behind = {
        (node.op_type, node.input[0]): node.output[0]
        for node in model.graph.node
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"}
    }
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {output.name: output for output in model.graph.output}  # whose types are told
    del copy.graph.output[:]
    rounded = (behind.get(("DequantizeLinear", behind.get(("QuantizeLinear", name), "")), name) for name in names)
    copy.graph.output.extend(known.get(name) or onnx.ValueInfoProto(name=name) for name in rounded)
    return copy


def _is_choice(graph: Graph, node: Any) -> bool:  # noqa: ANN401 - NodeProto
    if node.op_type in _PICKS:
        return node.input[1] not in graph.constants
    return node.op_type in _CHOOSES or node.op_type in _PLACES


def _walked(
    graph: Graph, choices: Iterable[Any], steps: Callable[[Any], list[Any]], *, through_layers: bool = False
) -> set[str]:
    """Names of the choices and of all nodes that the steps lead to, up to layers with weights or through them."""
    seen: set[str] = set()
    waiting = list(choices)
    while waiting:
        node = waiting.pop()
        if node.name in seen or (_is_layer(graph, node) and not through_layers):
            continue
        seen.add(node.name)
        waiting.extend(steps(node))
    return seen


def _is_layer(graph: Graph, node: Any) -> bool:  # noqa: ANN401 - NodeProto
    """Whether a node has weights and makes features with them; the mean of a softmax's shares is a number.

    So is what a product with a matrix of four rows and columns makes: corners of a box's middle and sides.
    """
    weight = graph.weight_of(node)
    if weight is not None and node.op_type == "MatMul" and tuple(graph.constants[weight].dims) == _OF_A_BOX:
        return False
    if weight is None or sum(side > 1 for side in graph.constants[weight].dims) > 1:
        return weight is not None
    source = graph.producer.get(node.input[0])
    while source is not None and source.op_type in PASS_THROUGH:
        source = graph.producer.get(source.input[0])
    return source is None or source.op_type != "Softmax"


def _sources(graph: Graph, node: Any) -> list[Any]:  # noqa: ANN401 - NodeProto
    """The nodes that a node takes values from, without feature maps that it only looks into."""
    looked_at = _PLACES.get(node.op_type)
    names = node.input if looked_at is None else [node.input[place] for place in looked_at if place < len(node.input)]
    return [graph.producer[name] for name in names if name in graph.producer]


def _consumers(graph: Graph, node: Any) -> list[Any]:  # noqa: ANN401 - NodeProto
    return [consumer for name in node.output for consumer in graph.consumers.get(name, [])]
