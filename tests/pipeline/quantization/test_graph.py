"""Reading a graph: what belongs together in one INT8 kernel, and what is a constant."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.quantization.graph import Graph

_WEIGHT = np.ones((4, 3, 1, 1), np.float32)


def _conv(source: str, target: str, name: str = "conv") -> Any:  # noqa: ANN401 - NodeProto
    return helper.make_node("Conv", [source, "w"], [target], name=name)


def _outputs(graph: Graph, *kinds: str) -> dict[str, str]:
    return {unit.name: unit.output for unit in graph.units(kinds)}


def test_an_activation_behind_a_convolution_belongs_to_it(wire: Any) -> None:  # noqa: ANN401 - the conftest's function
    nodes = [
        _conv("input", "a"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Clip", ["b", "", "six"], ["c"]),
        helper.make_node("Flatten", ["c"], ["output"]),
    ]
    (unit,) = Graph(wire(nodes, {"w": _WEIGHT, "six": np.array(6, np.float32)})).units(["Conv"])
    assert (unit.name, unit.output) == ("conv", "c")
    assert [node.op_type for node in unit.activations] == ["Relu", "Clip"]


def test_an_activation_of_a_value_that_is_used_elsewhere_too_is_none_of_it(wire: Any) -> None:  # noqa: ANN401
    nodes = [
        _conv("input", "a"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["output"]),
    ]
    graph = Graph(wire(nodes, {"w": _WEIGHT}))
    assert _outputs(graph, "Conv") == {"conv": "a"}


def test_an_activation_of_an_output_of_the_graph_is_none_of_it(wire: Any) -> None:  # noqa: ANN401
    nodes = [_conv("input", "a"), helper.make_node("Relu", ["a"], ["output"])]
    assert _outputs(Graph(wire(nodes, {"w": _WEIGHT}, outputs=("output", "a"))), "Conv") == {"conv": "a"}
    assert _outputs(Graph(wire(nodes, {"w": _WEIGHT})), "Conv") == {"conv": "output"}


def test_a_convolution_that_limits_another_ones_activation_is_none_of_it(wire: Any) -> None:  # noqa: ANN401
    # The value comes in as the limit of the Clip, not as what is clipped.
    nodes = [
        helper.make_node("GlobalMaxPool", ["input"], ["pooled"], name="pool"),
        helper.make_node("ReduceMax", ["pooled"], ["top"], name="top", keepdims=0),
        helper.make_node("Clip", ["input", "", "top"], ["output"], name="clip"),
    ]
    assert _outputs(Graph(wire(nodes)), "ReduceMax") == {"top": "top"}


def test_other_functions_are_not_free(wire: Any) -> None:  # noqa: ANN401
    nodes = [_conv("input", "a"), helper.make_node("Sigmoid", ["a"], ["output"])]
    assert _outputs(Graph(wire(nodes, {"w": _WEIGHT})), "Conv") == {"conv": "a"}


def test_units_come_in_the_order_of_the_graph(tiny: Any) -> None:  # noqa: ANN401
    graph = Graph(tiny.model)
    names = [node.name for node in tiny.model.graph.node]
    found = [names.index(unit.name) for unit in graph.units(["Gemm", "Conv", "Add"])]
    assert found == sorted(found)
    assert len(found) == 6  # four convolutions, the residual and the head


@pytest.mark.parametrize(
    ("node", "weight"),
    [
        (helper.make_node("Conv", ["input", "w"], ["output"]), "w"),
        (helper.make_node("MatMul", ["input", "w"], ["output"]), "w"),
        (helper.make_node("MatMul", ["w", "input"], ["output"]), None),
        (helper.make_node("MatMul", ["input", "input"], ["output"]), None),
        (helper.make_node("Add", ["input", "w"], ["output"]), None),
    ],
)
def test_a_weight_is_the_constant_second_input_of_a_weighted_operator(node: Any, weight: str | None) -> None:  # noqa: ANN401
    value = numpy_helper.from_array(np.ones((8, 8), np.float32), "w")
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, [8, 8])
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, None)
    graph = Graph(helper.make_model(helper.make_graph([node], "test", [image], [output], [value])))
    assert graph.weight_of(node) == weight
    if node.op_type != "Add":
        assert len(graph.units([node.op_type])) == (weight is not None)


def test_constants_have_their_values_and_are_no_activations(wire: Any) -> None:  # noqa: ANN401
    weight = np.arange(12, dtype=np.float32).reshape(4, 3, 1, 1)
    bias = np.array([1, 2, 3, 4], np.float32)
    node = helper.make_node("Conv", ["input", "w", "b"], ["output"], name="conv")
    graph = Graph(wire([node], {"w": weight, "b": bias}))
    np.testing.assert_array_equal(graph.array("w"), weight)
    np.testing.assert_array_equal(graph.array("b"), bias)
    assert graph.activations_of(node) == ["input"]


def test_an_input_that_is_left_out_is_no_activation(wire: Any) -> None:  # noqa: ANN401
    node = helper.make_node("Clip", ["input", "", "six"], ["output"])
    assert Graph(wire([node], {"six": np.array(6, np.float32)})).activations_of(node) == ["input"]


def test_arithmetic_on_shapes_is_not_float(wire: Any) -> None:  # noqa: ANN401
    nodes = [
        helper.make_node("Shape", ["input"], ["shape"]),
        helper.make_node("Relu", ["input"], ["rectified"]),
        helper.make_node("Reshape", ["rectified", "shape"], ["output"]),
    ]
    graph = Graph(wire(nodes))
    found = {name: graph.is_float(name) for name in ("input", "rectified", "output", "shape")}
    assert found == {"input": True, "rectified": True, "output": True, "shape": False}


def test_the_input_is_found_where_constants_stand_among_the_inputs(wire: Any) -> None:  # noqa: ANN401
    model = wire([_conv("input", "output")], {"w": _WEIGHT})
    model.graph.input.insert(0, helper.make_tensor_value_info("w", TensorProto.FLOAT, _WEIGHT.shape))
    assert Graph(model).input == "input"


def test_producers_and_consumers_are_known(rich: Any) -> None:  # noqa: ANN401
    graph = Graph(rich.model)
    assert graph.producer["silu"].name == "silu"
    assert [node.name for node in graph.consumers["p"]] == ["side", "residual"]
    assert [node.name for node in graph.consumers["rectified"]] == ["depthwise", "concat"]
    assert "input" not in graph.producer


def test_every_node_gets_a_name_of_its_own(wire: Any) -> None:  # noqa: ANN401
    # Weights are written beside the node of their name: two nodes of one name would share them.
    nodes = [
        _conv("input", "a", name=""),
        helper.make_node("Conv", ["a", "v"], ["b"], name="Conv_0"),
        helper.make_node("Conv", ["b", "v"], ["c"], name="twice"),
        helper.make_node("Conv", ["c", "v"], ["output"], name="twice"),
    ]
    model = wire(nodes, {"w": _WEIGHT, "v": np.ones((4, 4, 1, 1), np.float32)})
    Graph(model)
    names = [node.name for node in model.graph.node]
    assert all(names)
    assert len(set(names)) == len(names)


def test_naming_nodes_is_all_that_changes_the_model(tiny: Any) -> None:  # noqa: ANN401
    model = onnx.ModelProto()
    model.CopyFrom(tiny.model)
    Graph(model)
    assert model.SerializeToString(deterministic=True) == tiny.model.SerializeToString(deterministic=True)
