"""ONNX Runtime on a GPU: what can be seen of it without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import onnxruntime
import pytest

from exporters.ort_cuda.providers import nodes_by_provider
from exporters.ort_cuda.session import open_session
from exporters.ort_cuda.target import ORT_CUDA, ORT_TENSORRT, OrtGpuTarget
from pipeline.errors import UsageError
from pipeline.gpu import this_gpu
from pipeline.session import EngineSpec, TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.artifact import Artifact


@pytest.mark.parametrize("target", [ORT_CUDA, ORT_TENSORRT], ids=lambda target: target.name)
@pytest.mark.parametrize("precision", ["float", "fp16", "int8"])
def test_the_graph_is_laid_ready_in_the_precision_asked_for(
    exported: Artifact, tmp_path: Path, target: OrtGpuTarget, precision: str
) -> None:
    source = "qdq-tensorrt.onnx" if precision == "int8" else "float.onnx"
    spec = target.build(exported.path(source), tmp_path, precision=precision)
    assert spec.input == TensorSpec(name="input", shape=(1, 3, 16, 16), dtype="float32")
    assert spec.options["provider"] == target.provider
    types = {tensor.data_type for tensor in onnx.load(tmp_path / spec.model).graph.initializer}
    assert (onnx.TensorProto.FLOAT16 in types, onnx.TensorProto.INT8 in types) == (
        precision == "fp16",
        precision == "int8",
    )


def test_only_the_tensorrt_provider_wants_a_flag_for_what_stands_in_the_graph(
    exported: Artifact, tmp_path: Path
) -> None:
    flags = [
        target.build(exported.path("qdq-tensorrt.onnx"), tmp_path, precision="int8").options["provider_options"]
        for target in (ORT_CUDA, ORT_TENSORRT)
    ]
    assert flags == [{}, {"trt_int8_enable": "1"}]


def test_without_a_gpu_opening_is_a_clear_error(exported: Artifact, tmp_path: Path) -> None:
    if this_gpu() is not None:
        pytest.skip("there is a GPU here")
    spec = ORT_CUDA.build(exported.path("float.onnx"), tmp_path, precision="float")
    with pytest.raises(UsageError, match="this engine cannot be run here"), open_session(tmp_path, spec):
        pytest.fail("opened without a GPU")


def test_nodes_are_counted_by_the_provider_they_were_given_to(exported: Artifact) -> None:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    path = exported.path("float.onnx")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found = nodes_by_provider(session)
    assert set(found) == {"CPUExecutionProvider"}
    assert found["CPUExecutionProvider"] > 8


def test_the_spec_comes_back_from_json(exported: Artifact, tmp_path: Path) -> None:
    spec = ORT_CUDA.build(exported.path("float.onnx"), tmp_path, precision="float")
    assert EngineSpec.from_json(spec.to_json()) == spec
