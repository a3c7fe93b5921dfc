"""Writing Q/DQ: files that the runtimes take, that compute what the float graph computes, to a rounding step."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper, numpy_helper

from pipeline.environment import this_machine
from pipeline.lowering.cpu import run_onnx
from pipeline.quantization.choices import watching
from pipeline.quantization.coverage import int8_coverage
from pipeline.quantization.dialects import DIALECTS, dialect_named
from pipeline.quantization.graph import Graph
from pipeline.quantization.ranges import Range
from pipeline.quantization.write import QdqFromFloat, quantise_weight

if TYPE_CHECKING:
    from pathlib import Path

_DIALECTS = sorted(DIALECTS)
_NETWORKS = ("tiny", "rich")


@pytest.fixture(params=_NETWORKS)
def network(request: pytest.FixtureRequest) -> Any:  # noqa: ANN401 - the conftest's record
    return request.getfixturevalue(request.param)


@pytest.fixture(params=_DIALECTS)
def quantised(request: pytest.FixtureRequest, network: Any) -> Any:  # noqa: ANN401 - ModelProto
    """The network in each dialect."""
    return QdqFromFloat(network.model, network.ranges, dialect_named(request.param))


def _in(network: Any, dialect: str, **options: Any) -> Any:  # noqa: ANN401
    return QdqFromFloat(network.model, network.ranges, dialect_named(dialect), **options)


def _constants(model: Any) -> dict[str, np.ndarray]:  # noqa: ANN401
    return {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}


def _nodes(model: Any, kind: str) -> list[Any]:  # noqa: ANN401
    return [node for node in model.graph.node if node.op_type == kind]


def _answers(model: Any, images: list[np.ndarray]) -> np.ndarray:  # noqa: ANN401
    return np.concatenate([outputs[0] for outputs in run_onnx(model, images)])


def _noise_decibel(wanted: np.ndarray, found: np.ndarray) -> float:
    noise = np.mean((wanted - found) ** 2)
    return float(10 * np.log10(np.mean(wanted**2) / noise)) if noise else np.inf


def test_the_file_is_valid_onnx(quantised: Any) -> None:  # noqa: ANN401
    onnx.checker.check_model(quantised, full_check=True)


def test_it_agrees_with_the_float_graph_within_the_error_of_rounding(network: Any, quantised: Any) -> None:  # noqa: ANN401
    # Eight bits are good for 50 dB a rounding; some ten of them in a row are left with more than 35.
    wanted, found = (_answers(model, network.images) for model in (network.model, quantised))
    assert _noise_decibel(wanted, found) > 35
    assert np.abs(wanted - found).max() < 0.03 * np.abs(wanted).max()


def test_inputs_and_outputs_are_those_of_the_float_graph(network: Any, quantised: Any) -> None:  # noqa: ANN401
    assert list(quantised.graph.input) == list(network.model.graph.input)
    assert list(quantised.graph.output) == list(network.model.graph.output)
    assert list(quantised.opset_import) == list(network.model.opset_import)


@pytest.mark.parametrize("dialect", _DIALECTS)
def test_the_float_graph_is_left_as_it_was(network: Any, dialect: str) -> None:  # noqa: ANN401
    before = network.model.SerializeToString(deterministic=True)
    _in(network, dialect)
    assert network.model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("dialect", _DIALECTS)
def test_the_same_graph_and_ranges_give_the_same_bytes(network: Any, dialect: str) -> None:  # noqa: ANN401
    first, second = (_in(network, dialect).SerializeToString() for _ in range(2))
    assert first == second


def test_no_float_weight_is_left_beside_its_int8_values(network: Any, quantised: Any) -> None:  # noqa: ANN401
    large = [name for name, value in _constants(network.model).items() if value.ndim >= 2]
    assert large
    assert not set(large) & set(_constants(quantised))


def test_every_constant_is_used(quantised: Any) -> None:  # noqa: ANN401
    used = {name for node in quantised.graph.node for name in node.input}
    assert set(_constants(quantised)) <= used


@pytest.mark.parametrize("dialect", ["ort-x86", "ort-x86-7bit", "ort-arm"])
def test_onnx_runtime_computes_every_convolution_and_product_in_int8(
    network: Any,  # noqa: ANN401
    dialect: str,
    tmp_path: Path,
) -> None:
    if dialect == "ort-arm" and platform.machine() not in {"aarch64", "arm64"}:
        pytest.skip("ONNX Runtime fuses signed activations on ARM")
    onnx.save(_in(network, dialect), tmp_path / "qdq.onnx")
    found = int8_coverage(tmp_path / "qdq.onnx")
    assert (found.int8, found.total, found.floats) == (5, 5, ())


@pytest.mark.parametrize(("dialect", "dtype"), [("ort-x86", "uint8"), ("ort-arm", "int8"), ("tensorrt", "int8")])
def test_activations_have_the_sign_of_the_dialect(network: Any, dialect: str, dtype: str) -> None:  # noqa: ANN401
    model = _in(network, dialect)
    constants = _constants(model)
    pairs = _nodes(model, "QuantizeLinear")
    assert pairs
    assert {constants[node.input[2]].dtype.name for node in pairs} == {dtype}


def test_for_tensorrt_every_zero_point_is_0_and_no_bias_is_quantised(network: Any) -> None:  # noqa: ANN401
    model = _in(network, "tensorrt")
    constants = _constants(model)
    nodes = [*_nodes(model, "QuantizeLinear"), *_nodes(model, "DequantizeLinear")]
    assert nodes
    for node in nodes:
        assert not constants[node.input[2]].any(), node.name
        assert constants[node.input[2]].dtype == np.int8, node.name
    biased = [node for node in (*_nodes(model, "Conv"), *_nodes(model, "Gemm")) if len(node.input) > 2]
    assert biased
    assert {constants[node.input[2]].dtype.name for node in biased} == {"float32"}


@pytest.mark.parametrize("dialect", ["ort-x86", "ort-x86-7bit", "ort-arm"])
def test_for_onnx_runtime_a_bias_is_int32_with_the_scale_of_the_accumulator(network: Any, dialect: str) -> None:  # noqa: ANN401
    model = _in(network, dialect)
    constants = _constants(model)
    made = {node.output[0]: node for node in model.graph.node}
    biased = [node for node in (*_nodes(model, "Conv"), *_nodes(model, "Gemm")) if len(node.input) > 2]
    assert biased
    for node in biased:
        image, weight, bias = (made[name] for name in node.input[:3])
        assert constants[bias.input[0]].dtype == np.int32
        wanted = constants[image.input[1]].astype(np.float64) * constants[weight.input[1]]
        np.testing.assert_allclose(constants[bias.input[1]], wanted, rtol=1e-6)
        assert not constants[bias.input[2]].any()


@pytest.mark.parametrize(
    ("dialect", "top"), [("ort-x86", 127), ("ort-x86-7bit", 63), ("ort-arm", 127), ("tensorrt", 127)]
)
def test_weights_are_symmetric_int8_of_the_dialects_bits_with_a_scale_for_each_output_channel(
    network: Any,  # noqa: ANN401
    dialect: str,
    top: int,
) -> None:
    model = _in(network, dialect)
    before, after = _constants(network.model), _constants(model)
    made = {node.output[0]: node for node in model.graph.node}
    channel_axis = {"Conv": 0, "Gemm": 0, "MatMul": 1}  # Gemm: transB is set in both networks
    originals = {node.name: node for node in network.model.graph.node}
    weighted = [node for kind in channel_axis for node in _nodes(model, kind)]
    assert len(weighted) == 5
    for node in weighted:
        dequantise = made[node.input[1]]
        values, scales, zeros = (after[name] for name in dequantise.input)
        axis = channel_axis[node.op_type]
        assert (values.dtype, np.abs(values).max(), zeros.any()) == (np.dtype(np.int8), top, np.False_)
        assert {item.name: item.i for item in dequantise.attribute} == {"axis": axis}
        assert scales.shape == (values.shape[axis],)
        along = scales.reshape([-1 if number == axis else 1 for number in range(values.ndim)])
        weight = before[originals[node.name].input[1]]
        assert (np.abs(values * along - weight) <= 0.5001 * along).all()


def test_a_pair_stands_before_every_kernel_and_behind_it(rich: Any) -> None:  # noqa: ANN401
    model = _in(rich, "ort-x86")
    made = {output: node for node in model.graph.node for output in node.output}
    for kind in ("Conv", "Add", "Mul", "Sigmoid", "Concat", "AveragePool", "GlobalAveragePool", "MatMul", "Gemm"):
        for node in _nodes(model, kind):
            computed = [name for name in node.input if name in made]
            assert computed
            assert {made[name].op_type for name in computed} == {"DequantizeLinear"}, node.name


def test_what_is_moved_has_the_same_scale_before_and_after(rich: Any) -> None:  # noqa: ANN401
    constants = _constants(_in(rich, "ort-x86"))
    for before, after in (("a6", "p"), ("pooled", "flat")):
        assert constants[f"{before}_scale"] == constants[f"{after}_scale"]
        assert constants[f"{before}_zero"] == constants[f"{after}_zero"]


@pytest.mark.parametrize("dialect", _DIALECTS)
def test_nodes_that_are_named_keep_their_float_weights(rich: Any, dialect: str) -> None:  # noqa: ANN401
    model = _in(rich, dialect, float_nodes=frozenset({"side", "matmul"}))
    onnx.checker.check_model(model, full_check=True)
    named = {node.name: node for node in model.graph.node}
    assert (named["side"].input[1], named["matmul"].input[1]) == ("w1", "w3")
    assert named["stem"].input[1] != "w0"
    assert _noise_decibel(_answers(rich.model, rich.images), _answers(model, rich.images)) > 35


def test_the_runtime_says_which_nodes_stayed_float(rich: Any, tmp_path: Path) -> None:  # noqa: ANN401
    onnx.save(_in(rich, "ort-x86", float_nodes=frozenset({"side"})), tmp_path / "qdq.onnx")
    found = int8_coverage(tmp_path / "qdq.onnx")
    assert (found.int8, found.total, found.floats) == (4, 5, ("side",))


# --- what is computed, against the formulas --------------------------------------------------------------------------


def _rounded(values: np.ndarray, scale: np.ndarray | float, zero: int, low: int, high: int) -> np.ndarray:
    return (np.clip(np.rint(values / scale) + zero, low, high) - zero) * scale


@pytest.mark.parametrize("dialect", _DIALECTS)
def test_an_int8_network_computes_what_the_formula_computes(wire: Any, dialect: str) -> None:  # noqa: ANN401
    if dialect in {"ort-x86", "ort-arm"} and not {"avx512_vnni", "avx_vnni", "asimddp"} & set(this_machine().isa):
        pytest.skip("this CPU's 8-bit products saturate")
    generator = np.random.default_rng(0)
    first, second = (generator.standard_normal(shape).astype(np.float32) for shape in ((6, 3, 1, 1), (4, 6)))
    offset, end = generator.standard_normal(6).astype(np.float32), generator.standard_normal(4).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["input", "w0", "b0"], ["a"], name="pointwise"),
        helper.make_node("Relu", ["a"], ["r"], name="relu"),
        helper.make_node("GlobalMaxPool", ["r"], ["m"], name="largest"),
        helper.make_node("Flatten", ["m"], ["f"], name="flatten"),
        helper.make_node("Gemm", ["f", "w1", "b1"], ["output"], name="head", transB=1),
    ]
    model = wire(nodes, {"w0": first, "b0": offset, "w1": second, "b1": end})
    ranges = {"input": Range.of(-2.5, 3.0), "r": Range.of(0, 7.0), "f": Range.of(0, 6.0)}
    image = generator.standard_normal((1, 3, 8, 8)).astype(np.float32)
    found = _answers(QdqFromFloat(model, ranges, dialect_named(dialect)), [image])[0]

    symmetric, bits = dialect == "tensorrt", 7 if dialect.endswith("7bit") else 8

    def activation(values: np.ndarray, limits: Range) -> np.ndarray:
        if symmetric:
            return _rounded(values, max(-limits.low, limits.high) / 127, 0, -128, 127)
        step = (limits.high - limits.low) / 255
        return _rounded(values, step, round(-limits.low / step), 0, 255)

    def weight(values: np.ndarray) -> np.ndarray:
        top = 2 ** (bits - 1) - 1
        rows = values.reshape(len(values), -1).astype(np.float64)
        return _rounded(rows, np.abs(rows).max(axis=1, keepdims=True) / top, 0, -top, top)

    pixels = activation(image[0].astype(np.float64), ranges["input"])
    after = np.einsum("oc,chw->ohw", weight(first), pixels) + offset[:, None, None]
    pooled = activation(np.maximum(after, 0), ranges["r"]).max(axis=(1, 2))
    wanted = weight(second) @ activation(pooled, ranges["f"]) + end
    # Values next to the middle between two steps may be rounded to either: at most a step of each of six inputs.
    step = 7.0 / (127 if symmetric else 255)
    np.testing.assert_allclose(found, wanted, atol=1.01 * step * float(np.abs(second).max(axis=1).max()))


_WEIGHTS = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)).flatmap(
    # Zero or of a size that float32 still divides without loss.
    lambda shape: hnp.arrays(
        np.float32,
        shape,
        elements=st.floats(-1000, 1000, width=32).map(lambda value: value if abs(value) > 1e-30 else 0),
    )
)


@settings(max_examples=60, deadline=None)
@given(weight=_WEIGHTS, axis=st.integers(0, 2), bits=st.sampled_from([7, 8]))
def test_a_weight_is_rounded_by_at_most_half_a_step_and_uses_all_steps(
    weight: np.ndarray, axis: int, bits: int
) -> None:
    values, scales = quantise_weight(weight, axis, bits)
    top = 2 ** (bits - 1) - 1
    assert (values.shape, values.dtype, scales.dtype) == (weight.shape, np.dtype(np.int8), np.dtype(np.float32))
    for channel in range(weight.shape[axis]):
        given_values, whole = (np.take(array, channel, axis) for array in (weight, values))
        scale = float(scales[channel])
        assert scale > 0
        assert np.abs(whole).max() == (top if given_values.any() else 0)
        assert (np.abs(given_values - whole * scale) <= 0.5 * scale * (1 + 1e-5)).all()


@settings(deadline=None)
@given(weight=_WEIGHTS, bits=st.sampled_from([7, 8]))
def test_the_opposite_weight_has_the_opposite_values(weight: np.ndarray, bits: int) -> None:
    values, scales = quantise_weight(weight, 0, bits)
    opposite, same = quantise_weight(-weight, 0, bits)
    np.testing.assert_array_equal(opposite, -values)
    np.testing.assert_array_equal(same, scales)


def test_a_scale_can_be_kept_from_becoming_too_small() -> None:
    weight = np.array([[1.0, -0.5], [1.0, 0.25]], np.float32)
    values, scales = quantise_weight(weight, 0, 8, smallest=np.array([0.1, 0.0]))
    np.testing.assert_allclose(scales, [0.1, 1 / 127], rtol=1e-6)
    np.testing.assert_array_equal(values, [[10, -5], [127, 32]])


def _sandwich(wire: Any, weight: np.ndarray, bias: np.ndarray | None = None) -> Any:  # noqa: ANN401
    """A convolution with something behind it, so that it runs in INT8."""
    names = ["input", "w"] if bias is None else ["input", "w", "b"]
    nodes = [
        helper.make_node("Conv", names, ["a"], name="conv"),
        helper.make_node("Neg", ["a"], ["output"], name="neg"),
    ]
    return wire(nodes, {"w": weight} if bias is None else {"w": weight, "b": bias})


@pytest.mark.parametrize("dialect", _DIALECTS)
@settings(max_examples=30, deadline=None)
@given(low=st.floats(-1e4, 0), high=st.floats(0, 1e4))
def test_activations_hold_zero_exactly_and_reach_both_ends(wire: Any, dialect: str, low: float, high: float) -> None:  # noqa: ANN401
    limits = Range.of(low, high)
    model = _sandwich(wire, np.ones((1, 3, 1, 1), np.float32))
    constants = _constants(QdqFromFloat(model, {"input": limits, "a": limits}, dialect_named(dialect)))
    scale, zero = float(constants["input_scale"]), int(constants["input_zero"])
    least, most = (-128, 127) if constants["input_zero"].dtype == np.int8 else (0, 255)
    assert least <= zero <= most  # the value of the zero point is 0, without any rounding
    assert scale > 0
    assert (least - zero) * scale <= limits.low + 0.51 * scale
    assert (most - zero) * scale >= limits.high - 0.51 * scale


def test_a_channel_without_weights_does_no_harm(wire: Any) -> None:  # noqa: ANN401
    weight = np.zeros((2, 3, 1, 1), np.float32)
    weight[0, 0] = 1  # one product a sum: two would exceed the 16 bits that processors without VNNI add pairs in
    model = _sandwich(wire, weight, np.array([0.5, -0.25], np.float32))
    quantised = QdqFromFloat(model, {"input": Range.of(-1, 1), "a": Range.of(-4, 4)}, dialect_named("ort-x86"))
    image = np.random.default_rng(0).uniform(-1, 1, (1, 3, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(_answers(quantised, [image]), _answers(model, [image]), atol=0.06)


def test_a_bias_too_large_for_its_accumulator_keeps_its_value(wire: Any) -> None:  # noqa: ANN401
    # With weights so small the bias would be 3e13 steps of the accumulator; int32 ends at 2e9.
    weight = np.full((2, 3, 1, 1), 1e-9, np.float32)
    bias = np.array([2.0, -1.0], np.float32)
    model = _sandwich(wire, weight, bias)
    quantised = QdqFromFloat(model, {"input": Range.of(-1, 1), "a": Range.of(-2, 2)}, dialect_named("ort-x86"))
    constants = _constants(quantised)
    assert np.abs(constants["conv_bias_q"].astype(np.int64)).max() <= 1 << 30
    np.testing.assert_allclose(constants["conv_bias_q"] * constants["conv_bias_scale"], bias, rtol=1e-6)
    image = np.zeros((1, 3, 8, 8), np.float32)
    np.testing.assert_allclose(_answers(quantised, [image]), _answers(model, [image]), atol=0.02)


@pytest.mark.parametrize("dialect", _DIALECTS)
def test_a_weight_that_two_nodes_share_is_written_for_both(wire: Any, dialect: str) -> None:  # noqa: ANN401
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["a"], name="first"),
        helper.make_node("Conv", ["a", "w"], ["b"], name="second"),
        helper.make_node("Neg", ["b"], ["output"], name="neg"),
    ]
    model = wire(nodes, {"w": np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)})
    limits = dict.fromkeys(("input", "a", "b"), Range.of(-1, 1))
    quantised = QdqFromFloat(model, limits, dialect_named(dialect))
    onnx.checker.check_model(quantised, full_check=True)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 3, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(_answers(quantised, [image]), -image, atol=0.01)


@pytest.mark.parametrize("dialect", _DIALECTS)
@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution_may_have_groups_and_a_bias(
    wire: Any,  # noqa: ANN401
    calibrate: Any,  # noqa: ANN401
    dialect: str,
    groups: int,
) -> None:
    generator = np.random.default_rng(0)
    weight = generator.standard_normal((4, 4 // groups, 2, 2)).astype(np.float32)
    nodes = [
        helper.make_node("ConvTranspose", ["input", "w", "b"], ["a"], name="up", group=groups, strides=[2, 2]),
        helper.make_node("Neg", ["a"], ["output"], name="neg"),
    ]
    model = wire(nodes, {"w": weight, "b": generator.standard_normal(4).astype(np.float32)}, shape=(1, 4, 4, 4))
    network = calibrate(model, [generator.standard_normal((1, 4, 4, 4)).astype(np.float32)])
    quantised = _in(network, dialect)
    onnx.checker.check_model(quantised, full_check=True)
    assert _noise_decibel(_answers(model, network.images), _answers(quantised, network.images)) > 30


@pytest.mark.parametrize("dialect", _DIALECTS)
@pytest.mark.parametrize("shape", [(8,), (3, 8, 5)])
def test_a_matrix_product_with_a_vector_or_a_stack_of_matrices_is_no_obstacle(
    wire: Any,  # noqa: ANN401
    calibrate: Any,  # noqa: ANN401
    dialect: str,
    shape: tuple[int, ...],
) -> None:
    generator = np.random.default_rng(0)
    nodes = [
        helper.make_node("MatMul", ["input", "w"], ["a"], name="product"),
        helper.make_node("Neg", ["a"], ["output"], name="neg"),
    ]
    model = wire(nodes, {"w": generator.standard_normal(shape).astype(np.float32)})
    network = calibrate(model, [generator.standard_normal((1, 3, 8, 8)).astype(np.float32)])
    quantised = _in(network, dialect)
    onnx.checker.check_model(quantised, full_check=True)
    assert _noise_decibel(_answers(model, network.images), _answers(quantised, network.images)) > 30


def test_a_product_with_a_stack_of_matrices_is_not_counted_as_int8(wire: Any) -> None:  # noqa: ANN401
    """No kernel of a runtime takes it: it would be converted there and back around a float one."""
    model = wire(
        [helper.make_node("MatMul", ["input", "w"], ["output"], name="product")],
        {"w": np.ones((3, 8, 5), np.float32)},
    )

    assert Graph(model).units(["MatMul"]) == []


@pytest.mark.parametrize("dialect", _DIALECTS)
def test_names_that_the_network_has_already_are_not_taken(wire: Any, calibrate: Any, dialect: str) -> None:  # noqa: ANN401
    generator = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["input", "w", "b"], ["r"], name="conv"),
        helper.make_node("Mul", ["r", "r_scale"], ["r_q"], name="mul"),
        helper.make_node("Conv", ["r_q", "conv_weight_q", "conv_bias_q"], ["r_dq"], name="conv_weight"),
        helper.make_node("Neg", ["r_dq"], ["output"], name="neg"),
    ]
    constants = {
        "w": generator.standard_normal((4, 3, 1, 1)),
        "b": generator.standard_normal(4),
        "r_scale": np.full((1, 4, 1, 1), 2.0),
        "conv_weight_q": generator.standard_normal((4, 4, 1, 1)),
        "conv_bias_q": generator.standard_normal(4),
    }
    model = wire(nodes, {name: value.astype(np.float32) for name, value in constants.items()})
    network = calibrate(model, [generator.standard_normal((1, 3, 8, 8)).astype(np.float32)])

    quantised = _in(network, dialect)

    onnx.checker.check_model(quantised, full_check=True)
    assert _noise_decibel(_answers(model, network.images), _answers(quantised, network.images)) > 25
    (rounded,) = watching(quantised, ["r_q"]).graph.output
    assert next(node for node in quantised.graph.node if rounded.name in node.output).op_type == "DequantizeLinear"


def test_a_constant_that_only_a_branch_uses_stays(wire: Any) -> None:  # noqa: ANN401
    # The body of an If reads the graph around it by name.
    branches = {
        name: helper.make_graph(
            [helper.make_node(kind, ["a", "offset"], [f"{name}_out"])],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, None)],
        )
        for name, kind in (("then_branch", "Add"), ("else_branch", "Sub"))
    }
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["a"], name="conv"),
        helper.make_node("ReduceMax", ["a"], ["largest"], name="largest", keepdims=0),
        helper.make_node("Greater", ["largest", "zero"], ["positive"], name="greater"),
        helper.make_node("If", ["positive"], ["output"], name="if", **branches),
    ]
    constants = {"w": np.ones((2, 3, 1, 1), np.float32), "zero": np.array(0, np.float32)}
    model = wire(nodes, {**constants, "offset": np.array(0.5, np.float32)})
    limits = {"input": Range.of(-1, 1), "a": Range.of(-3, 3)}
    quantised = QdqFromFloat(model, limits, dialect_named("ort-x86"))
    image = np.random.default_rng(0).uniform(-1, 1, (1, 3, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(_answers(quantised, [image]), _answers(model, [image]), atol=0.1)
