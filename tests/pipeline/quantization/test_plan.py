"""Which nodes run in INT8, which tensors are rounded, and whose range they take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from pipeline.quantization.dialects import DIALECTS, dialect_named
from pipeline.quantization.graph import Graph
from pipeline.quantization.plan import place, tensors_to_observe

_WEIGHT = np.ones((3, 3, 1, 1), np.float32)
_X86 = dialect_named("ort-x86")
_UNITS = ("stem", "side", "gate", "silu", "residual", "depthwise", "concat", "average", "global", "matmul", "head")


def _conv(source: str, target: str, name: str = "conv") -> Any:  # noqa: ANN401 - NodeProto
    return helper.make_node("Conv", [source, "w"], [target], name=name)


@pytest.mark.parametrize("name", ["ort-x86", "ort-x86-7bit", "ort-arm"])
def test_for_onnx_runtime_everything_with_an_int8_kernel_runs_in_int8(rich: Any, name: str) -> None:  # noqa: ANN401
    assert tuple(place(Graph(rich.model), dialect_named(name)).units) == _UNITS


def test_for_tensorrt_products_and_sigmoids_stay_float(rich: Any) -> None:  # noqa: ANN401
    units = place(Graph(rich.model), dialect_named("tensorrt")).units
    assert tuple(units) == tuple(name for name in _UNITS if name not in {"gate", "silu"})


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_the_range_of_a_kernel_is_that_behind_its_activation(rich: Any, name: str) -> None:  # noqa: ANN401
    tensors = place(Graph(rich.model), dialect_named(name)).tensors
    assert {"a6", "rectified", "hidden_relu"} <= set(tensors)
    assert not {"a", "sum", "hidden"} & set(tensors)


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_what_is_only_moved_keeps_the_range_it_had(rich: Any, name: str) -> None:  # noqa: ANN401
    tensors = place(Graph(rich.model), dialect_named(name)).tensors
    moved = {tensor: source for tensor, source in tensors.items() if tensor != source}
    assert moved == {"p": "a6", "flat": "pooled"}


def test_a_range_is_handed_on_through_several_moves(wire: Any) -> None:  # noqa: ANN401
    nodes = [
        _conv("input", "a", "first"),
        helper.make_node("MaxPool", ["a"], ["b"], kernel_shape=[2, 2]),
        helper.make_node("Transpose", ["b"], ["c"], perm=[0, 1, 3, 2]),
        _conv("c", "d", "second"),
        helper.make_node("Neg", ["d"], ["output"]),
    ]
    tensors = place(Graph(wire(nodes, {"w": _WEIGHT})), _X86).tensors
    assert tensors == {"input": "input", "a": "a", "b": "a", "c": "a", "d": "d"}


def test_a_matrix_product_hands_out_the_graphs_result_in_float(rich: Any) -> None:  # noqa: ANN401
    found = place(Graph(rich.model), _X86)
    assert "head" in found.units
    assert "output" not in found.tensors


def test_a_convolution_that_makes_the_graphs_result_stays_float(wire: Any) -> None:  # noqa: ANN401
    found = place(Graph(wire([_conv("input", "output")], {"w": _WEIGHT})), _X86)
    assert (dict(found.units), dict(found.tensors)) == ({}, {})


def test_a_sum_joins_where_a_value_reaches_it_in_int8(wire: Any) -> None:  # noqa: ANN401
    nodes = [
        _conv("input", "a"),
        helper.make_node("Neg", ["input"], ["b"], name="negate"),
        helper.make_node("Add", ["a", "b"], ["c"], name="sum"),
        helper.make_node("Neg", ["c"], ["output"], name="end"),
    ]
    found = place(Graph(wire(nodes, {"w": _WEIGHT})), _X86)
    assert list(found.units) == ["conv", "sum"]
    assert set(found.tensors) == {"input", "a", "b", "c"}


def test_a_sum_of_floats_stays_float(wire: Any) -> None:  # noqa: ANN401
    nodes = [
        helper.make_node("Neg", ["input"], ["b"], name="negate"),
        helper.make_node("Add", ["input", "b"], ["c"], name="sum"),
        helper.make_node("Neg", ["c"], ["output"], name="end"),
    ]
    assert dict(place(Graph(wire(nodes)), _X86).units) == {}


def test_a_sum_with_a_constant_stays_float(wire: Any) -> None:  # noqa: ANN401
    nodes = [
        _conv("input", "a"),
        helper.make_node("Add", ["a", "offset"], ["c"], name="sum"),
        helper.make_node("Neg", ["c"], ["output"], name="end"),
    ]
    found = place(Graph(wire(nodes, {"w": _WEIGHT, "offset": np.ones(1, np.float32)})), _X86)
    assert list(found.units) == ["conv"]


def test_a_product_of_two_computed_matrices_stays_float(wire: Any) -> None:  # noqa: ANN401
    nodes = [_conv("input", "a"), helper.make_node("MatMul", ["a", "a"], ["output"], name="attention")]
    assert list(place(Graph(wire(nodes, {"w": _WEIGHT})), _X86).units) == ["conv"]


def test_arithmetic_on_shapes_is_left_alone(wire: Any) -> None:  # noqa: ANN401
    nodes = [
        _conv("input", "a"),
        helper.make_node("Shape", ["a"], ["shape"]),
        helper.make_node("Add", ["shape", "shape"], ["twice"], name="shapes"),
        helper.make_node("Identity", ["twice"], ["moved"], name="move"),
        helper.make_node("Expand", ["a", "shape"], ["b"]),
        helper.make_node("Reshape", ["b", "shape"], ["output"]),
    ]
    graph = Graph(wire(nodes, {"w": _WEIGHT}))
    assert list(place(graph, _X86).units) == ["conv"]
    assert not {"shape", "twice", "moved"} & (set(place(graph, _X86).tensors) | set(tensors_to_observe(graph)))


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_nodes_that_are_named_stay_float(rich: Any, dialect: str) -> None:  # noqa: ANN401
    kept = frozenset({"depthwise", "head"})
    everything = place(Graph(rich.model), dialect_named(dialect)).units
    units = place(Graph(rich.model), dialect_named(dialect), kept).units
    assert set(units) == set(everything) - kept


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
@settings(max_examples=25, deadline=None)
@given(kept=st.sets(st.sampled_from(_UNITS)).map(frozenset))
def test_whatever_stays_float_every_range_asked_for_was_observed(rich: Any, dialect: str, kept: frozenset[str]) -> None:  # noqa: ANN401
    graph = Graph(rich.model)
    found = place(graph, dialect_named(dialect), kept)
    observed = tensors_to_observe(graph)
    assert set(found.tensors.values()) <= set(observed)
    assert not set(found.units) & kept
    assert all(graph.is_float(tensor) for tensor in found.tensors)
    assert not set(found.tensors) & graph.outputs
    # A kernel computes in INT8 only if all that it reads is.
    for unit in found.units.values():
        assert set(graph.activations_of(unit.node)) <= set(found.tensors)


@pytest.mark.parametrize("name", ["tiny", "rich"])
def test_tensors_are_observed_once_each_in_the_order_of_the_graph(request: pytest.FixtureRequest, name: str) -> None:
    graph = Graph(request.getfixturevalue(name).model)
    found = tensors_to_observe(graph)
    assert len(set(found)) == len(found)
    assert found[0] == "input"
    made = [output for node in graph.model.graph.node for output in node.output]
    convolutions = [made.index(unit.output) for unit in graph.units(["Conv"])]
    assert [made.index(name) for name in found if name in {made[place] for place in convolutions}] == convolutions
