"""Rewriting changes the spelling of a graph, never its numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from pipeline.lowering.canonical import canonicalise
from pipeline.lowering.cpu import run_onnx


def _model(
    nodes: list[Any],
    constants: dict[str, np.ndarray],
    shape: tuple[int, ...] | None = (1, 3, 4, 5),
    *,
    opset: int = 18,
    output: str = "output",
) -> Any:  # noqa: ANN401 - ModelProto
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return onnx.shape_inference.infer_shapes(model)


def _mean(axes: list[int] | None, keepdims: int, shape: tuple[int, ...] = (1, 3, 4, 5)) -> Any:  # noqa: ANN401
    names = ["input"] if axes is None else ["input", "axes"]
    node = helper.make_node("ReduceMean", names, ["output"], name="mean", keepdims=keepdims)
    return _model([node], {} if axes is None else {"axes": np.array(axes, np.int64)}, shape)


def _kinds(model: Any) -> Counter[str]:  # noqa: ANN401 - ModelProto
    return Counter(node.op_type for node in model.graph.node)


def _both(model: Any, shape: tuple[int, ...] = (1, 3, 4, 5)) -> tuple[np.ndarray, np.ndarray]:  # noqa: ANN401
    """The output before and after rewriting in place; the rewritten model is a valid one."""
    batch = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    ((before,),) = run_onnx(model, [batch])
    canonicalise(model)
    onnx.checker.check_model(model, full_check=True)
    ((after,),) = run_onnx(model, [batch])
    return before, after


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[2, 3], [3, 2], [-1, -2], [2, -1]])
def test_a_mean_over_height_and_width_becomes_a_global_pool(axes: list[int], keepdims: int) -> None:
    model = _mean(axes, keepdims)
    before, after = _both(model)
    assert _kinds(model) == Counter({"GlobalAveragePool": 1} if keepdims else {"GlobalAveragePool": 1, "Flatten": 1})
    assert before.shape == after.shape
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


def test_a_mean_of_the_operator_sets_before_18_has_its_axes_as_an_attribute() -> None:
    node = helper.make_node("ReduceMean", ["input"], ["output"], name="mean", axes=[2, 3], keepdims=1)
    model = _model([node], {}, opset=17)
    before, after = _both(model)
    assert _kinds(model) == Counter({"GlobalAveragePool": 1})
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


@settings(deadline=None)
@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=5).map(tuple),
    keepdims=st.integers(0, 1),
    data=st.data(),
)
def test_whatever_is_reduced_the_numbers_stay(shape: tuple[int, ...], keepdims: int, data: st.DataObject) -> None:
    axis = st.integers(-len(shape), len(shape) - 1)
    axes = data.draw(st.none() | st.lists(axis, min_size=1, unique_by=lambda number: number % len(shape)))
    before, after = _both(_mean(axes, keepdims, shape), shape)
    assert before.shape == after.shape
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("axes", "shape"),
    [([2], (1, 3, 4, 5)), ([1, 2, 3], (1, 3, 4, 5)), ([1, 2], (1, 3, 4, 5)), (None, (1, 3, 4, 5)), ([1, 2], (3, 4, 5))],
)
def test_any_other_mean_stays(axes: list[int] | None, shape: tuple[int, ...]) -> None:
    model = _mean(axes, 0, shape)
    canonicalise(model)
    assert _kinds(model) == Counter({"ReduceMean": 1})


def test_a_mean_of_something_of_unknown_rank_stays() -> None:
    node = helper.make_node("ReduceMean", ["input", "axes"], ["output"], name="mean", keepdims=1)
    model = _model([node], {"axes": np.array([2, 3], np.int64)}, shape=None)
    canonicalise(model)
    assert _kinds(model) == Counter({"ReduceMean": 1})


def test_the_rewritten_node_keeps_its_place_and_its_name() -> None:
    nodes = [
        helper.make_node("Relu", ["input"], ["a"], name="relu"),
        helper.make_node("ReduceMean", ["a", "axes"], ["b"], name="mean", keepdims=0),
        helper.make_node("Neg", ["b"], ["output"], name="neg"),
    ]
    model = _model(nodes, {"axes": np.array([2, 3], np.int64)})
    before, after = _both(model)
    assert [node.name for node in model.graph.node] == ["relu", "mean", "mean_flat", "neg"]
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


def test_axes_that_nothing_uses_any_more_go_and_those_still_in_use_stay() -> None:
    nodes = [
        helper.make_node("ReduceMean", ["input", "axes"], ["a"], name="mean", keepdims=1),
        helper.make_node("ReduceMax", ["input", "shared"], ["b"], name="max", keepdims=1),
        helper.make_node("ReduceMean", ["input", "shared"], ["c"], name="mean of the same", keepdims=1),
        helper.make_node("Sum", ["a", "b", "c"], ["output"], name="sum"),
    ]
    model = _model(nodes, {"axes": np.array([2, 3], np.int64), "shared": np.array([2, 3], np.int64)})
    before, after = _both(model)
    assert [item.name for item in model.graph.initializer] == ["shared"]
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


def test_a_constant_that_only_a_branch_uses_stays() -> None:
    # The body of an If reads the graph around it by name.
    branches = {
        name: helper.make_graph(
            [helper.make_node(kind, ["input", "offset"], [f"{name}_out"])],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, None)],
        )
        for name, kind in (("then_branch", "Add"), ("else_branch", "Sub"))
    }
    nodes = [
        helper.make_node("ReduceMax", ["input"], ["largest"], keepdims=0),
        helper.make_node("Greater", ["largest", "zero"], ["positive"]),
        helper.make_node("If", ["positive"], ["output"], **branches),
    ]
    model = _model(nodes, {"zero": np.array(0, np.float32), "offset": np.array(0.5, np.float32)})
    before, after = _both(model)
    np.testing.assert_array_equal(after, before)


def test_a_constant_that_is_an_output_stays() -> None:
    model = _model([helper.make_node("Relu", ["input"], ["output"])], {"table": np.array([1.0], np.float32)})
    model.graph.output.append(helper.make_tensor_value_info("table", TensorProto.FLOAT, [1]))
    onnx.checker.check_model(model, full_check=True)
    canonicalise(model)
    onnx.checker.check_model(model, full_check=True)
    assert [item.name for item in model.graph.initializer] == ["table"]


def test_rewriting_twice_is_rewriting_once() -> None:
    model = _mean([2, 3], 0)
    canonicalise(model)
    once = model.SerializeToString(deterministic=True)
    canonicalise(model)
    assert model.SerializeToString(deterministic=True) == once
