"""What a TensorRT target leaves in the engine's folder, for each precision."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from exporters.tensorrt.options import TensorRtOptions
from exporters.tensorrt.target import TENSORRT, TENSORRT_RTX
from pipeline.artifact import sha256_of_file
from pipeline.errors import ParityError
from pipeline.gpu import this_gpu

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.artifact import Artifact

_SOURCES = {"float": "float.onnx", "fp16": "float.onnx", "int8": "qdq-tensorrt.onnx"}
_WANTED = {"float": "FLOAT", "fp16": "HALF", "int8": "INT8"}


@pytest.mark.usefixtures("rtx")
@pytest.mark.parametrize("precision", _SOURCES)
def test_the_folder_holds_engine_graph_and_layers_and_the_spec_vouches_for_them(
    exported: Artifact, tmp_path: Path, precision: str
) -> None:
    spec = TENSORRT_RTX.build(exported.path(_SOURCES[precision]), tmp_path, precision=precision)

    assert {path.name for path in tmp_path.iterdir()} == {"model.engine", "model.onnx", "layers.json"}
    assert spec.options["sha256"] == sha256_of_file(tmp_path / "model.engine")
    assert spec.options["source_sha256"] == sha256_of_file(tmp_path / "model.onnx")
    assert spec.options["products"] == {_WANTED[precision]: 5}
    table = json.loads((tmp_path / "layers.json").read_text(encoding="utf-8"))
    convolutions = [layer for layer in table["layers"] if layer["type"] == "CONVOLUTION"]
    assert table["precision"] == precision
    assert {layer["precision"] for layer in convolutions} == {_WANTED[precision]}
    assert all(set(layer) == {"name", "type", "precision"} for layer in table["layers"])


@pytest.mark.usefixtures("rtx")
def test_an_int8_engine_from_a_float_graph_is_refused(exported: Artifact, tmp_path: Path) -> None:
    with pytest.raises(ParityError, match="asked for in int8, but none of its 4 convolutions runs in INT8"):
        TENSORRT_RTX.build(exported.path("float.onnx"), tmp_path, precision="int8")
    assert not (tmp_path / "model.engine").exists()


@pytest.mark.usefixtures("rtx")
def test_a_graph_that_does_not_fit_into_float16_is_refused(exported: Artifact, tmp_path: Path) -> None:
    model = onnx.load(exported.path("float.onnx"))
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 4:
            tensor.CopyFrom(numpy_helper.from_array(np.float32(1e5) * numpy_helper.to_array(tensor), tensor.name))
    onnx.save(model, tmp_path / "large.onnx")
    folder = tmp_path / "engine"
    folder.mkdir()
    with pytest.raises(ParityError, match="float16 graph does not compute"):
        TENSORRT_RTX.build(tmp_path / "large.onnx", folder, precision="fp16")


@pytest.mark.usefixtures("rtx")
def test_an_open_batch_is_measured_with_one_image(open_batch: Path, tmp_path: Path) -> None:
    folder = tmp_path / "engine"
    folder.mkdir()
    target = replace(TENSORRT_RTX, options=TensorRtOptions(largest_batch=8))
    spec = target.build(open_batch, folder, precision="float")
    assert spec.input.shape == (1, 3, 8, 8)
    assert [output.shape for output in spec.outputs] == [(1, 4, 6, 6)]
    assert np.dtype(spec.input.dtype) == np.float32


@pytest.mark.usefixtures("rtx")
@pytest.mark.parametrize("precision", ["float", "fp16", "int8"])
def test_a_graph_for_one_image_is_opened_where_batches_are_asked_for(
    exported: Artifact, precision: str, tmp_path: Path
) -> None:
    target = replace(TENSORRT_RTX, options=TensorRtOptions(largest_batch=32, capabilities=("sm86",)))
    source = "qdq-tensorrt.onnx" if precision == "int8" else "float.onnx"
    spec = target.build(exported.path(source), tmp_path, precision=precision)
    (given,) = onnx.load(tmp_path / "model.onnx").graph.input
    assert given.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert spec.input.shape[0] == 1
    assert spec.options["builder"]["largest_batch"] == 32


def test_what_decides_the_bytes_tells_options_and_capabilities() -> None:
    settings = replace(TENSORRT_RTX, options=TensorRtOptions(capabilities=("sm120",), optimization_level=5)).settings()
    assert (settings["capabilities"], settings["optimization_level"], settings["gpu"]) == (["sm120"], 5, None)


def test_on_a_machine_without_a_gpu_the_reason_is_told(rtx: Any) -> None:  # noqa: ANN401
    if this_gpu() is not None:
        pytest.skip("there is a GPU here")
    assert TENSORRT_RTX.missing() is None
    assert "no NVIDIA GPU" in str(TENSORRT_RTX.cannot_run())


def test_tensorrt_itself_is_missing_with_the_command_that_installs_it() -> None:
    if TENSORRT.flavour.installed():
        pytest.skip("it is installed here")
    assert TENSORRT.missing() == "tensorrt is not installed: pip install 'edgewright[tensorrt]'"
