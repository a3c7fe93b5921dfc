"""The stage that writes the final ONNX files: what the contract of stages does not say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
import pytest
from pydantic import ValidationError

from pipeline.artifact import FLOAT_MODEL, Artifact, qdq_model, sha256_of_file
from pipeline.errors import UnknownNameError
from pipeline.quantization.dialects import DIALECTS
from pipeline.stages.export import Export, ExportFor

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., Artifact]

_PRODUCTS = frozenset({"Conv", "Gemm", "MatMul"})


def _products(model: Any) -> list[Any]:  # noqa: ANN401 - ModelProto
    return [node for node in model.graph.node if node.op_type in _PRODUCTS]


def _quantised(model: Any) -> set[str]:  # noqa: ANN401 - ModelProto
    """Names of the convolutions and matrix products whose weight comes out of a DequantizeLinear."""
    dequantised = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    return {node.name for node in _products(model) if node.input[1] in dequantised}


def test_the_float_file_holds_the_calibrations_graph(calibration: Artifact, exported: Artifact) -> None:
    assert onnx.load(exported.path(FLOAT_MODEL)) == onnx.load(calibration.path(FLOAT_MODEL))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialects_file_is_a_valid_model_that_quantises_every_product(exported: Artifact, dialect: str) -> None:
    model = onnx.load(exported.path(qdq_model(dialect)))
    onnx.checker.check_model(model, full_check=True)
    assert _quantised(model) == {node.name for node in _products(onnx.load(exported.path(FLOAT_MODEL)))}


def test_a_node_that_is_to_stay_float_stays_float_and_no_other(calibration: Artifact, run: Run) -> None:
    products = [node.name for node in _products(onnx.load(calibration.path(FLOAT_MODEL)))]
    one = run(ExportFor(dialects=("ort-x86",), float_nodes=(products[0],)), calibration)
    assert _quantised(onnx.load(one.path("qdq-ort-x86.onnx"))) == set(products[1:])
    assert (one.facts["coverage"]["ort-x86"]["int8"], one.facts["coverage"]["ort-x86"]["total"]) == (4, 5)


def test_an_unknown_float_node_is_an_error_with_the_nearest_one(calibration: Artifact, run: Run) -> None:
    name = _products(onnx.load(calibration.path(FLOAT_MODEL)))[0].name
    with pytest.raises(UnknownNameError) as raised:
        run(ExportFor(dialects=("ort-x86",), float_nodes=(name + "_",)), calibration)
    first, second = str(raised.value).splitlines()
    assert first == f"unknown ONNX node in export.float_nodes {name + '_'!r}"
    assert second.startswith(f"  expected: did you mean {name}")


def test_an_unknown_dialect_is_an_error_with_the_nearest_one(calibration: Artifact, run: Run) -> None:
    with pytest.raises(UnknownNameError) as raised:
        run(ExportFor(dialects=("ort-x68",)), calibration)
    first, second = str(raised.value).splitlines()
    assert first == "unknown Q/DQ dialect 'ort-x68'"
    assert second.startswith("  expected: did you mean ort-x86")


def test_writing_no_file_at_all_is_not_asked_for() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        ExportFor(dialects=())


def test_kernels_are_counted_where_the_runtime_is_at_hand_and_nowhere_else(exported: Artifact) -> None:
    assert set(exported.facts["coverage"]) == {name for name in DIALECTS if name.startswith("ort-")}
    assert {found["total"] for found in exported.facts["coverage"].values()} == {5}


def test_another_method_of_ranges_changes_the_int8_file_alone(
    calibration: Artifact, exported: Artifact, run: Run
) -> None:
    other = run(ExportFor(dialects=("ort-x86",), method="minmax"), calibration)
    same = {name: sha256_of_file(other.path(name)) == sha256_of_file(exported.path(name)) for name in _names(other)}
    assert same == {FLOAT_MODEL: True, "qdq-ort-x86.onnx": False}
    assert (other.facts["method"], exported.facts["method"]) == ("minmax", "mse")


def _names(artifact: Artifact) -> list[str]:
    return [entry.path for entry in artifact.files]


def test_a_dialects_file_does_not_depend_on_which_others_are_written(
    calibration: Artifact, exported: Artifact, run: Run
) -> None:
    alone = run(ExportFor(dialects=("tensorrt",)), calibration)
    assert sha256_of_file(alone.path("qdq-tensorrt.onnx")) == sha256_of_file(exported.path("qdq-tensorrt.onnx"))


def test_an_unknown_method_is_refused_before_anything_runs() -> None:
    with pytest.raises(ValidationError, match="Input should be 'auto', 'minmax', 'percentile', 'mse' or 'entropy'"):
        Export(method="median")
