"""Detectors that are named through every runtime: the same boxes, and engines where none can be run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from exporters.openvino.target import OPENVINO
from exporters.tensorrt.flavours import FLAVOURS
from exporters.tensorrt.options import TensorRtOptions
from exporters.tensorrt.target import TENSORRT_RTX, TensorRtTarget
from pipeline.lowering.cpu import run_onnx
from pipeline.lowering.lower import lower
from pipeline.lowering.parity import Answers
from pipeline.progress import SilentProgress
from pipeline.quantization.dialects import dialect_named
from pipeline.quantization.graph import Graph
from pipeline.quantization.observe import observe
from pipeline.quantization.plan import tensors_to_observe
from pipeline.quantization.ranges import METHODS
from pipeline.quantization.write import QdqFromFloat
from pipeline.tasks.detection.deployable import OUTPUTS, candidates_differ, deployable, post_process
from pipeline.tasks.reading.detection import detections

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Found = tuple[np.ndarray, np.ndarray, np.ndarray]

SIDES = {
    "fasterrcnn_mobilenet_v3_large_320_fpn": 320,
    "fasterrcnn_resnet50_fpn_v2": 192,  # whose largest map is pooled by RoiAlign
    "ssdlite320_mobilenet_v3_large": 320,
    "retinanet_resnet50_fpn_v2": 128,
    "fcos_resnet50_fpn": 128,
    "yolo/x-tiny": 160,
}


def _shipped(outputs: Sequence[Any], network: nn.Module) -> Found:
    rule = post_process(network)
    boxes, scores, labels = (np.asarray(output)[0] for output in outputs)
    return detections(boxes, scores, labels, rule.score, rule.iou, rule.most)


def _assert_same(wanted: Found, found: Found) -> None:
    assert len(wanted[1]) == len(found[1]) > 3
    np.testing.assert_allclose(found[1], wanted[1], atol=1e-3)
    for box, score, label in zip(*wanted, strict=True):
        like = (np.abs(found[1] - score) < 1e-3) & (found[2] == label)
        assert np.abs(found[0][like] - box).max(axis=1).min() < 0.5


def _quantised(model: Any, images: list[np.ndarray], dialect: str) -> Any:  # noqa: ANN401 - ModelProto
    with SilentProgress().track("", 0) as ticker:
        seen = observe(model, tensors_to_observe(Graph(model)), lambda: images, ticker)
    ranges = {name: METHODS["mse"](of.histogram) for name, of in seen.items()}
    return QdqFromFloat(model, ranges, dialect_named(dialect))


@pytest.mark.slow
@pytest.mark.parametrize("name", SIDES)
def test_a_detector_is_the_same_in_every_runtime_and_builds_in_every_precision(
    name: str,
    torchvision_detector: Callable[[str, int], nn.Module],
    pictures: Callable[..., list[torch.Tensor]],
    tmp_path: Path,
) -> None:
    side = SIDES[name]
    network = torchvision_detector(name, side)
    shown = pictures(32, side)
    images = [image[None].numpy() for image in shown]
    some = images[:8]
    differ = partial(candidates_differ, score=post_process(network).score)
    path = tmp_path / "float.onnx"
    lower(deployable(network, (side, side)), some, path, answers=Answers(names=OUTPUTS, difference=differ, chosen=True))
    model = onnx.load(path)
    with torch.no_grad():
        eager = [network([image])[0] for image in shown]
    wanted = [tuple(one[key].numpy() for key in OUTPUTS) for one in eager]
    for one, outputs in zip(wanted, run_onnx(model, images), strict=True):
        _assert_same(one, _shipped(outputs, network))

    if OPENVINO.missing() is None:
        from exporters.openvino.session import open_session

        (tmp_path / "openvino").mkdir()
        spec = OPENVINO.build(path, tmp_path / "openvino", precision="float")
        with open_session(tmp_path / "openvino", spec) as session:
            for one, image in zip(wanted, images, strict=True):
                _assert_same(one, _shipped(session.run(image), network))

    if FLAVOURS["tensorrt-rtx"].installed():
        qdq = tmp_path / "qdq-tensorrt.onnx"
        onnx.save(_quantised(model, some, "tensorrt"), qdq)
        sizes = {}
        for precision, source in (("float", path), ("fp16", path), ("int8", qdq)):
            folder = tmp_path / precision
            folder.mkdir()
            spec = _for_one_gpu().build(source, folder, precision=precision)
            sizes[precision] = (folder / spec.model).stat().st_size
            assert [output.name for output in spec.outputs] == list(OUTPUTS)
            wanted_type = {"float": "FLOAT", "fp16": "HALF", "int8": "INT8"}[precision]
            assert spec.options["products"][wanted_type] >= 0.9 * _convolutions(model), spec.options["products"]
        assert sizes["fp16"] < 0.7 * sizes["float"]


def _convolutions(model: Any) -> int:  # noqa: ANN401 - ModelProto
    return sum(node.op_type == "Conv" for node in model.graph.node)


def _for_one_gpu() -> TensorRtTarget:
    return replace(TENSORRT_RTX, options=TensorRtOptions(capabilities=("sm89",)))
