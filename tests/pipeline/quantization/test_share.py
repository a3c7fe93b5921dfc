"""How much of a network runs in INT8, against counts made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.quantization.dialects import dialect_named
from pipeline.quantization.share import Int8Share, int8_share


@pytest.fixture
def model() -> Any:  # noqa: ANN401 - ModelProto
    """A convolution 3 -> 4 of 3x3 on 8x8, a depthwise one, pooling and a product 4 -> 5."""
    generator = np.random.default_rng(0)
    constants = {
        "w1": generator.normal(size=(4, 3, 3, 3)),
        "w2": generator.normal(size=(4, 1, 3, 3)),
        "w3": generator.normal(size=(5, 4)),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a", "w2"], ["b"], name="depthwise", pads=[1, 1, 1, 1], group=4, strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["b"], ["c"], name="pool"),
        helper.make_node("Flatten", ["c"], ["d"], name="flatten"),
        helper.make_node("Gemm", ["d", "w3"], ["y"], name="head", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    return onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))


FIRST, DEPTHWISE, HEAD = 4 * 3 * 9 * 64, 4 * 9 * 16, 20


def test_every_multiplication_of_every_layer_counts(model: Any) -> None:  # noqa: ANN401 - ModelProto
    found = int8_share(model, dialect_named("ort-x86"))

    assert (found.layers, found.total_layers) == (3, 3)
    assert found.macs == found.total_macs == FIRST + DEPTHWISE + HEAD
    assert found.of_macs == 1.0


def test_a_layer_in_float_counts_among_all_of_them_alone(model: Any) -> None:  # noqa: ANN401 - ModelProto
    found = int8_share(model, dialect_named("ort-x86"), frozenset({"first"}))

    assert found.macs == DEPTHWISE + HEAD
    assert found.total_macs == FIRST + DEPTHWISE + HEAD
    assert found.layers == 2


@pytest.mark.parametrize(
    ("layers", "macs", "is_int8"), [(0, 0, False), (1, 49, False), (1, 50, True), (3, 100, True), (1, 0, False)]
)
def test_a_network_is_int8_from_a_layer_and_half_of_its_multiplications_on(
    layers: int, macs: int, *, is_int8: bool
) -> None:
    assert Int8Share(layers=layers, total_layers=3, macs=macs, total_macs=100).is_int8 is is_int8


def test_a_network_without_layers_is_not_int8() -> None:
    assert not Int8Share(layers=0, total_layers=0, macs=0, total_macs=0).is_int8
