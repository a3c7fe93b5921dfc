"""What a graph chooses by is found by what its nodes do; a graph that chooses nothing is left as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

from pipeline.quantization.choices import choosing_nodes, smooth_outputs
from pipeline.quantization.coverage import why_float
from pipeline.quantization.dialects import DIALECTS, dialect_named
from pipeline.quantization.graph import Graph
from pipeline.quantization.plan import place, tensors_to_observe
from pipeline.quantization.ranges import Range
from pipeline.quantization.write import QdqFromFloat

_WEIGHTS = {
    "w": np.ones((3, 3, 1, 1), np.float32),
    "v": np.ones((12, 12), np.float32),
    "few": np.array([4], np.int64),
    "flat": np.array([-1], np.int64),
    "half": np.array(0.5, np.float32),
}


def _detector(*, second_stage: bool) -> list[Any]:
    """Two heads on one feature map: one is chosen by, one is picked from; what is picked may be looked at again."""
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["a"], name="body"),
        helper.make_node("Sigmoid", ["a"], ["gate"], name="gate"),
        helper.make_node("Mul", ["a", "gate"], ["silu"], name="silu"),
        helper.make_node("Conv", ["silu", "w"], ["said"], name="scores head"),
        helper.make_node("Conv", ["silu", "w"], ["codes"], name="boxes head"),
        helper.make_node("Concat", ["said", "said"], ["both"], name="concat", axis=1),
        helper.make_node("Sigmoid", ["both"], ["shares"], name="shares"),
        helper.make_node("Reshape", ["shares", "flat"], ["row"], name="row"),
        helper.make_node("TopK", ["row", "few"], ["highest", "places"], name="topk"),
        helper.make_node("Reshape", ["codes", "flat"], ["code row"], name="code row"),
        helper.make_node("Gather", ["code row", "places"], ["picked"], name="pick"),
        helper.make_node("Mul", ["picked", "half"], ["output"], name="decode"),
    ]
    if not second_stage:
        return nodes
    nodes[-1].output[0] = "decoded"
    return [
        *nodes,
        helper.make_node("Tile", ["decoded", "three"], ["row of boxes"], name="tile"),
        helper.make_node("Unsqueeze", ["row of boxes", "first"], ["seen"], name="seen"),
        helper.make_node("MatMul", ["seen", "v"], ["output"], name="second stage"),
    ]


@pytest.fixture
def detector(wire: Any) -> Any:  # noqa: ANN401 - the conftest's function, ModelProto
    """One stage."""
    return wire(_detector(second_stage=False), _WEIGHTS)


@pytest.fixture
def two_stages(wire: Any) -> Any:  # noqa: ANN401 - as above
    """Two stages."""
    more = {"three": np.array([3], np.int64), "first": np.array([0], np.int64)}
    return wire(_detector(second_stage=True), {**_WEIGHTS, **more})


_BEHIND_HEADS = {"concat", "shares", "row", "topk", "code row", "pick", "decode"}


def test_everything_behind_the_heads_chooses(detector: Any) -> None:  # noqa: ANN401
    assert choosing_nodes(Graph(detector)) == _BEHIND_HEADS


def test_choosing_ends_where_a_layer_looks_again(two_stages: Any) -> None:  # noqa: ANN401
    assert choosing_nodes(Graph(two_stages)) == _BEHIND_HEADS | {"tile", "seen"}


def test_a_network_that_chooses_nothing_has_none(rich: Any, tiny: Any) -> None:  # noqa: ANN401
    for network in (rich, tiny):
        graph = Graph(network.model)
        assert choosing_nodes(graph) == frozenset()
        assert smooth_outputs(graph)(graph.model.graph.node[0].name) == ("output",)


@pytest.mark.parametrize(
    ("kind", "constant", "values", "decodes"),
    [
        ("Conv", "bins", np.arange(3, dtype=np.float32).reshape(1, 3, 1, 1), True),
        ("Conv", "many", np.ones((3, 3, 1, 1), np.float32), False),
        ("MatMul", "column", np.arange(4, dtype=np.float32).reshape(4, 1), True),
        ("MatMul", "table", np.ones((4, 6), np.float32), False),
    ],
)
@pytest.mark.parametrize("activation", ["Softmax", "Sigmoid"])
def test_the_mean_of_a_distribution_is_decoding(
    wire: Any,  # noqa: ANN401
    activation: str,
    kind: str,
    constant: str,
    values: np.ndarray,
    *,
    decodes: bool,
) -> None:
    nodes = _detector(second_stage=False)
    place_of_row = next(place for place, node in enumerate(nodes) if node.name == "code row")
    nodes[place_of_row].input[0] = "means"
    nodes[place_of_row:place_of_row] = [
        helper.make_node(activation, ["codes"], ["likely"], name="likely"),
        helper.make_node("Transpose", ["likely"], ["turned"], name="turned", perm=[0, 1, 3, 2]),
        helper.make_node(kind, ["turned", constant], ["means"], name="mean"),
    ]
    graph = Graph(wire(nodes, {**_WEIGHTS, constant: values}))
    decoding = {"likely", "turned", "mean"} if decodes and activation == "Softmax" else set()

    assert choosing_nodes(graph) == _BEHIND_HEADS | decoding
    assert ("mean" in place(graph, dialect_named("ort-x86")).units) is not bool(decoding)
    if decoding:
        assert why_float(graph.model, dialect_named("ort-x86"), frozenset())("mean") == "it decodes what is chosen"


def test_a_product_that_turns_a_boxs_numbers_into_its_corners_is_decoding(wire: Any) -> None:  # noqa: ANN401
    corners = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [-0.5, 0, 0.5, 0], [0, -0.5, 0, 0.5]], np.float32)
    nodes = _detector(second_stage=False)
    place_of_row = next(place for place, node in enumerate(nodes) if node.name == "code row")
    nodes[place_of_row].input[0] = "turned"
    nodes[place_of_row:place_of_row] = [helper.make_node("MatMul", ["codes", "corners"], ["turned"], name="turn")]
    graph = Graph(wire(nodes, {**_WEIGHTS, "corners": corners}))

    assert choosing_nodes(graph) == _BEHIND_HEADS | {"turn"}
    assert "turn" not in place(graph, dialect_named("ort-x86")).units


def test_picking_by_constants_is_no_choice(wire: Any) -> None:  # noqa: ANN401
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["a"], name="conv"),
        helper.make_node("Gather", ["a", "few"], ["output"], name="pick", axis=2),
    ]
    assert choosing_nodes(Graph(wire(nodes, _WEIGHTS))) == frozenset()


def test_the_features_that_places_are_looked_up_in_are_features(wire: Any) -> None:  # noqa: ANN401
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["a"], name="body"),
        helper.make_node("Add", ["a", "a"], ["sum"], name="sum"),
        helper.make_node("Sigmoid", ["grid"], ["at"], name="at"),
        helper.make_node("GridSample", ["sum", "at"], ["output"], name="look"),
    ]
    graph = Graph(wire(nodes, {**_WEIGHTS, "grid": np.zeros((1, 2, 2, 2), np.float32)}))
    assert choosing_nodes(graph) == {"look", "at"}
    assert "sum" in place(graph, dialect_named("ort-x86")).units


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_nothing_that_chooses_is_rounded_or_watched(detector: Any, name: str) -> None:  # noqa: ANN401
    graph = Graph(detector)
    placed = place(graph, dialect_named(name))
    assert not set(placed.units) & _BEHIND_HEADS
    assert {"body", "scores head", "boxes head"} <= set(placed.units)
    behind = {"both", "shares", "row", "highest", "code row", "picked", "output"}
    assert not set(placed.tensors) & behind
    assert not set(tensors_to_observe(graph)) & behind


def test_a_head_hands_out_float_where_its_kernel_can(detector: Any) -> None:  # noqa: ANN401
    heads = {"said", "codes"}
    assert heads <= set(place(Graph(detector), dialect_named("ort-x86")).tensors)
    assert not heads & set(place(Graph(detector), dialect_named("tensorrt")).tensors)


def test_layers_are_looked_at_where_their_rounding_moves_smoothly(two_stages: Any) -> None:  # noqa: ANN401
    graph = Graph(two_stages)
    watched = smooth_outputs(graph)
    assert watched("body") == ("said", "codes")
    assert watched("second stage") == ("output",)


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_one_weight_in_several_layers_is_written_once(detector: Any, name: str) -> None:  # noqa: ANN401
    ranges = {tensor: Range.of(-1, 1) for tensor in tensors_to_observe(Graph(detector))}
    written = QdqFromFloat(detector, ranges, dialect_named(name))
    weights = [item for item in written.graph.initializer if list(item.dims) == [3, 3, 1, 1]]
    assert len(weights) == 1
