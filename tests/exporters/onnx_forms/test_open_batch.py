"""Graphs opened to several images at once: the same answers as one by one, or a clear refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporters.onnx_forms.bytes_input import BytesFromFloat
from exporters.onnx_forms.open_batch import OpenBatchFromFixed, has_open_batch
from pipeline.errors import ParityError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.artifact import Artifact
    from pipeline.subject import Parts


def _graph(path: Path, nodes: list[onnx.NodeProto], output: list[int], **constants: list[int]) -> Path:
    """A graph on an input of one image, 2 x 4 x 4."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@pytest.mark.parametrize("source", ["float.onnx", "qdq-ort-x86.onnx", "qdq-tensorrt.onnx"])
def test_several_images_are_answered_like_one_by_one(exported: Artifact, source: str, tmp_path: Path) -> None:
    fixed, opened = exported.path(source), tmp_path / "opened.onnx"
    assert not has_open_batch(fixed)
    assert OpenBatchFromFixed(fixed, opened) < 1e-4
    assert has_open_batch(opened)


def test_a_graph_that_takes_bytes_is_opened_too(exported: Artifact, session_parts: Parts, tmp_path: Path) -> None:
    path = tmp_path / "bytes.onnx"
    BytesFromFloat(exported.path("float.onnx"), path, session_parts.preprocess)
    assert OpenBatchFromFixed(path, path) < 1e-4
    assert has_open_batch(path)


@pytest.mark.parametrize("allowzero", [0, 1])
@pytest.mark.parametrize("shape", [[1, -1], [1, 32], [-1, 32]], ids=str)
def test_a_reshape_to_one_image_keeps_the_batch(shape: list[int], allowzero: int, tmp_path: Path) -> None:
    node = helper.make_node("Reshape", ["x", "s"], ["y"], allowzero=allowzero)
    flat = _graph(tmp_path / "flat.onnx", [node], [1, 32], s=shape)
    assert OpenBatchFromFixed(flat, tmp_path / "opened.onnx") == 0.0


def test_a_graph_that_holds_the_size_of_one_image_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Expand", ["x", "s"], ["e"]), helper.make_node("Reshape", ["e", "r"], ["y"])]
    fixed = _graph(tmp_path / "held.onnx", nodes, [2, 16], s=[1, 2, 4, 4], r=[2, 16])
    with pytest.raises(UsageError, match="takes one image at a time") as raised:
        OpenBatchFromFixed(fixed, tmp_path / "opened.onnx")
    assert raised.value.fix == "leave build.tensorrt.largest_batch at 1"
    assert not (tmp_path / "opened.onnx").exists()


def test_images_that_touch_each_other_are_refused(tmp_path: Path) -> None:
    mean = helper.make_node("ReduceMean", ["x", "a"], ["m"], keepdims=1)
    nodes = [mean, helper.make_node("Sub", ["x", "m"], ["d"]), helper.make_node("Add", ["d", "x"], ["y"])]
    fixed = _graph(tmp_path / "mean.onnx", nodes, [1, 2, 4, 4], a=[0])
    with pytest.raises(ParityError, match="several images at once are not treated like one after the other"):
        OpenBatchFromFixed(fixed, tmp_path / "opened.onnx")
