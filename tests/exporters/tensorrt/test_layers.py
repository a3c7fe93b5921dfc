"""The table of layers: what each computes in, and the engine that would silently be a float one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from exporters.onnx_forms.half_precision import HalfFromFloat
from exporters.tensorrt.layers import Layer, check_layers, layers_of, products_by_precision
from exporters.tensorrt.parsing import parse
from pipeline.errors import ParityError

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.artifact import Artifact

_CONVOLUTIONS, _PRODUCTS = 4, 5


def test_of_a_float_graph_every_product_is_float(rtx: Any, exported: Artifact) -> None:  # noqa: ANN401
    layers = layers_of(parse(rtx, exported.path("float.onnx")).network)
    assert products_by_precision(layers) == {"FLOAT": _PRODUCTS}
    assert sum(layer.type == "CONVOLUTION" for layer in layers) == _CONVOLUTIONS


def test_of_a_half_graph_every_product_is_half(rtx: Any, exported: Artifact, tmp_path: Path) -> None:  # noqa: ANN401
    HalfFromFloat(exported.path("float.onnx"), tmp_path / "half.onnx")
    layers = layers_of(parse(rtx, tmp_path / "half.onnx").network)
    assert products_by_precision(layers) == {"HALF": _PRODUCTS}
    assert {layer.precision for layer in layers if layer.type == "CAST"} == {"HALF", "FLOAT"}


def test_of_a_quantised_graph_every_product_is_int8_though_its_output_is_float(
    rtx: Any,  # noqa: ANN401
    exported: Artifact,
) -> None:
    layers = layers_of(parse(rtx, exported.path("qdq-tensorrt.onnx")).network)
    assert products_by_precision(layers) == {"INT8": _PRODUCTS}


def test_a_product_with_one_float_side_is_float(rtx: Any, exported: Artifact, tmp_path: Path) -> None:  # noqa: ANN401
    # Quantised weights alone save no arithmetic.
    import onnx

    model = onnx.load(exported.path("qdq-tensorrt.onnx"))
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    first.input[0] = model.graph.input[0].name
    onnx.save(model, tmp_path / "mixed.onnx")
    layers = layers_of(parse(rtx, tmp_path / "mixed.onnx").network)
    assert products_by_precision(layers) == {"FLOAT": 1, "INT8": _PRODUCTS - 1}


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_a_float_graph_is_no_engine_of_another_precision(rtx: Any, exported: Artifact, precision: str) -> None:  # noqa: ANN401
    layers = layers_of(parse(rtx, exported.path("float.onnx")).network)
    check_layers(layers, "float", where="float.onnx")
    with pytest.raises(ParityError) as raised:
        check_layers(layers, precision, where="float.onnx")
    assert raised.value.exit_code == 8
    assert f"asked for in {precision}, but none of its 4 convolutions" in raised.value.what
    assert str(raised.value.got).count("(FLOAT)") == 3


def test_without_convolutions_the_matrix_products_decide() -> None:
    layers = [Layer(name="head", type="MATRIX_MULTIPLY", precision="INT8")]
    check_layers(layers, "int8", where="net.onnx")
    with pytest.raises(ParityError, match="asked for in fp16"):
        check_layers(layers, "fp16", where="net.onnx")


def test_quantised_matrix_products_do_not_make_up_for_float_convolutions() -> None:
    layers = [
        Layer(name="body", type="CONVOLUTION", precision="FLOAT"),
        Layer(name="head", type="MATRIX_MULTIPLY", precision="INT8"),
    ]
    with pytest.raises(ParityError) as raised:
        check_layers(layers, "int8", where="net.onnx")
    assert raised.value.got == "body (FLOAT)"


def test_a_network_without_products_is_no_int8_engine() -> None:
    with pytest.raises(ParityError) as raised:
        check_layers([Layer(name="relu", type="ACTIVATION", precision="FLOAT")], "int8", where="net.onnx")
    assert raised.value.got == "no convolution and no matrix product"
