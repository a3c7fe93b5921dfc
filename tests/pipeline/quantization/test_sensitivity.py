"""What each layer's INT8 does to the output, and that float layers stay float in the runtime's hands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from pipeline.progress import SilentProgress
from pipeline.quantization.dialects import dialect_named
from pipeline.quantization.graph import PASS_THROUGH, WEIGHTED, Graph
from pipeline.quantization.groups import groups
from pipeline.quantization.sensitivity import LayerDamage, layer_damages, outputs_of
from pipeline.quantization.write import QdqFromFloat
from pipeline.tasks.noise import output_noise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

X86 = dialect_named("ort-x86")


def _writer(network: Any) -> Callable[[frozenset[str]], Any]:  # noqa: ANN401 - the conftest's record
    return lambda nodes: QdqFromFloat(network.model, network.ranges, X86, float_nodes=nodes)


def _damages(network: Any, *, budget_s: float = 60) -> list[LayerDamage]:  # noqa: ANN401
    return layer_damages(network.model, _writer(network), network.images[:4], SilentProgress(), budget_s=budget_s)


def test_every_convolution_and_product_is_looked_at_and_the_worst_comes_first(rich: Any) -> None:  # noqa: ANN401
    found = _damages(rich)
    assert {one.node for one in found} == {unit.name for unit in Graph(rich.model).units(WEIGHTED)}
    assert [one.noise for one in found] == sorted((one.noise for one in found), reverse=True)
    assert all(one.noise > 0 for one in found)


def test_a_layer_whose_weights_round_badly_is_found(rich: Any) -> None:  # noqa: ANN401
    # One huge weight takes the whole scale of its channel: what else there is rounds to nothing.
    model = onnx.ModelProto()
    model.CopyFrom(rich.model)
    (constant,) = [item for item in model.graph.initializer if item.name == "w1"]
    weight = onnx.numpy_helper.to_array(constant).copy()
    weight[:, 0, 0, 0] = 100 * np.abs(weight).max()
    constant.CopyFrom(onnx.numpy_helper.from_array(weight, "w1"))
    with_outlier = type(rich)(model, rich.images, rich.seen, rich.ranges)
    clipped = type(rich)(rich.model, rich.images, rich.seen, rich.ranges)
    rank = [one.node for one in _damages(with_outlier)].index("side")
    assert rank <= [one.node for one in _damages(clipped)].index("side")


def test_what_follows_a_layer_is_not_counted_as_its_own(rich: Any) -> None:  # noqa: ANN401
    """Of the first layer the sigmoid, product, addition, concatenation and pools behind it would be most of it."""
    asked: list[frozenset[str]] = []

    def written(nodes: frozenset[str]) -> Any:  # noqa: ANN401 - ModelProto
        asked.append(nodes)
        return _writer(rich)(nodes)

    layer_damages(rich.model, written, rich.images[:1], SilentProgress(), budget_s=60)

    for nodes in asked:
        pairs = [at.input[0] for at in _writer(rich)(nodes).graph.node if at.op_type == "QuantizeLinear"]
        (alone,) = [unit for unit in Graph(rich.model).units(WEIGHTED) if unit.name not in nodes]
        assert set(pairs) <= {alone.node.input[0], alone.output, *_only_moved(rich.model, alone.output)}


def _only_moved(model: Any, tensor: str) -> list[str]:  # noqa: ANN401 - ModelProto
    """What pools and the like make of a tensor."""
    moved = [tensor]
    for node in model.graph.node:
        moved += [node.output[0]] * (node.op_type in PASS_THROUGH and node.input[0] in moved)
    return moved[1:]


def test_a_spent_budget_looks_at_no_further_layer(tiny: Any) -> None:  # noqa: ANN401
    assert _damages(tiny, budget_s=-1) == []


def test_noise_is_energy_over_energy() -> None:
    reference = [(np.array([3.0, 4.0]),), (np.array([0.0, 5.0]),)]
    assert output_noise(reference, reference) == 0
    assert output_noise([(np.array([3.0, 5.0]),), (np.array([0.0, 5.0]),)], reference) == pytest.approx(1 / 50)


def test_large_numbers_of_one_output_do_not_drown_another() -> None:
    reference = [(np.array([300.0, 400.0]), np.array([1.0]))]
    assert output_noise([(np.array([300.0, 400.0]), np.array([0.0]))], reference) == pytest.approx(1 / 2)


@pytest.mark.parametrize("node", ["stem", "side", "depthwise"])
def test_a_float_layer_between_int8_layers_stays_float_in_the_runtimes_hands(rich: Any, node: str) -> None:  # noqa: ANN401
    # ONNX Runtime quantises such a layer by itself, with one scale for all channels, unless something is in the way.
    mixed = _writer(rich)(frozenset({node}))
    exact = outputs_of(mixed, rich.images, exact=True)
    assert output_noise(outputs_of(mixed, rich.images), exact) < 1e-3


@pytest.mark.parametrize("name", ["tiny", "rich"])
def test_the_guard_changes_nothing(request: pytest.FixtureRequest, name: str) -> None:
    network = request.getfixturevalue(name)
    unit = next(unit for unit in Graph(network.model).units(["Conv"]) if unit.output in network.ranges)
    mixed = _writer(network)(frozenset({unit.name}))
    guards = [at for at in mixed.graph.node if at.op_type == "LeakyRelu"]
    values = np.array([-2.0, 0.0, 3.0], np.float32)
    for guard in guards:
        alone = helper.make_model(
            helper.make_graph(
                [helper.make_node("LeakyRelu", ["input"], ["output"], alpha=guard.attribute[0].f)],
                "guard",
                [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, (3,))],
                [helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, (3,))],
            ),
            opset_imports=[helper.make_opsetid("", 18)],
            ir_version=9,
        )
        np.testing.assert_array_equal(outputs_of(alone, [values])[0][0], values[0])


def test_only_what_stands_alone_between_int8_layers_is_guarded(rich: Any) -> None:  # noqa: ANN401
    def guarded(*nodes: str) -> list[str]:
        return [at.name for at in _writer(rich)(frozenset(nodes)).graph.node if at.op_type == "LeakyRelu"]

    assert guarded() == []
    assert guarded("depthwise") == ["depthwise_guard"]
    assert guarded("side") == []  # what it gives is needed in float
    everything = {unit.name for unit in Graph(rich.model).units(WEIGHTED)}
    assert guarded(*everything) == []


@pytest.mark.parametrize("node", ["silu", "residual", "average", "max"])
def test_a_node_without_weights_that_is_named_stays_float_too(rich: Any, node: str, tmp_path: Path) -> None:  # noqa: ANN401
    def kernels(*nodes: str) -> list[str]:
        onnx.save(_writer(rich)(frozenset(nodes)), tmp_path / "qdq.onnx")
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
        onnxruntime.InferenceSession(str(tmp_path / "qdq.onnx"), options, providers=["CPUExecutionProvider"])
        return [at.op_type for at in onnx.load(tmp_path / "optimised.onnx").graph.node]

    kind = {"silu": "Mul", "residual": "Add", "average": "AveragePool"}.get(node)

    if kind is not None:
        assert f"QLinear{kind}" in kernels()
        assert f"QLinear{kind}" not in kernels(node)
        assert kind in kernels(node)
    else:
        rounded = [at.input[0] for at in _writer(rich)(frozenset({node})).graph.node if at.op_type == "QuantizeLinear"]
        moved = next(at for at in rich.model.graph.node if at.name == node).output[0]
        assert moved in rounded  # by itself: the layer behind it takes INT8


def test_groups_are_found_by_what_they_are(rich: Any) -> None:  # noqa: ANN401
    assert groups(rich.model, X86) == {"depthwise": frozenset({"depthwise"}), "gating": frozenset({"gate", "silu"})}


def test_convolutions_of_one_position_are_a_group(wire: Any) -> None:  # noqa: ANN401
    nodes = [
        helper.make_node("GlobalAveragePool", ["input"], ["pooled"], name="pool"),
        helper.make_node("Conv", ["pooled", "w"], ["scale"], name="excite"),
        helper.make_node("Mul", ["input", "scale"], ["output"], name="scaled"),
    ]
    found = groups(wire(nodes, {"w": np.ones((3, 3, 1, 1), np.float32)}), X86)
    assert found == {"squeeze": frozenset({"excite"}), "gating": frozenset({"scaled"})}
