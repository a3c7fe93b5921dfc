"""INT8 of a detector: its layers run in it, what it decides with stays float, and it finds the same boxes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from pipeline.lowering.cpu import run_onnx
from pipeline.lowering.export import OnnxFromTorch
from pipeline.lowering.lower import lower
from pipeline.lowering.parity import Answers
from pipeline.progress import SilentProgress
from pipeline.quantization.dialects import dialect_named
from pipeline.quantization.graph import WEIGHTED, Graph
from pipeline.quantization.observe import observe
from pipeline.quantization.plan import place, tensors_to_observe
from pipeline.quantization.ranges import METHODS
from pipeline.quantization.sensitivity import layer_damages
from pipeline.quantization.write import QdqFromFloat
from pipeline.tasks.detection.deployable import OUTPUTS, candidates_differ, deployable, post_process
from pipeline.tasks.reading.detection import detections

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.quantization.ranges import Range

Detector = Callable[[str], nn.Module]
Pictures = Callable[..., list[torch.Tensor]]

SIDE = 64
DECIDES = {"Sigmoid", "Softmax", "Exp", "TopK", "Gather", "Concat", "Sub", "Div", "Mod", "Less", "RoiAlign", "MatMul"}
"""Operators that the tiny detectors have behind their heads or between proposals and the second stage alone."""


def _ranges(model: Any, images: list[np.ndarray]) -> Mapping[str, Range]:  # noqa: ANN401 - ModelProto
    with SilentProgress().track("", 0) as ticker:
        seen = observe(model, tensors_to_observe(Graph(model)), lambda: images, ticker)
    return {name: METHODS["mse"](of.histogram) for name, of in seen.items()}


def _float(network: nn.Module) -> Any:  # noqa: ANN401 - ModelProto
    form = deployable(network, (SIDE, SIDE))
    return OnnxFromTorch(form, torch.zeros(1, 3, SIDE, SIDE), exporter="torchscript", opset=18, outputs=OUTPUTS)


@dataclass(frozen=True)
class Observed:
    """A detector's float graph, which nobody may change, and what its tensors were seen to hold on the images."""

    model: Any  # ModelProto
    images: list[np.ndarray]
    ranges: Mapping[str, Range]


@pytest.fixture(scope="module")
def observed(tiny_detector: Detector, pictures: Pictures) -> Callable[[str], Observed]:
    """A tiny detector of a kind on four images; exported once."""

    @functools.cache
    def of(kind: str) -> Observed:
        model = _float(tiny_detector(kind))
        images = [image[None].numpy() for image in pictures(4)]
        return Observed(model=model, images=images, ranges=_ranges(model, images))

    return of


@pytest.mark.parametrize("kind", ["ssd", "faster-rcnn"])
def test_layers_run_in_int8_and_what_decides_touches_no_rounded_value_but_theirs(
    kind: str, observed: Callable[[str], Observed]
) -> None:
    model, ranges = observed(kind).model, observed(kind).ranges
    layers = {unit.name for unit in Graph(model).units(WEIGHTED)}
    for name in ("ort-x86", "tensorrt"):
        assert set(place(Graph(model), dialect_named(name)).units) >= layers
        written = QdqFromFloat(model, ranges, dialect_named(name))
        producers = {tensor: node for node in written.graph.node for tensor in node.output}
        rounds = [node for node in written.graph.node if node.op_type == "QuantizeLinear"]
        assert not {producers[node.input[0]].op_type for node in rounds if node.input[0] in producers} & DECIDES
        if name == "tensorrt":  # where a convolution hands out float, nothing behind the last one is rounded
            heads = {producers[node.input[0]].name for node in rounds if node.input[0] in producers}
            assert not {layer for layer in heads if "cls_logits" in layer or "module_list" in layer}


def test_a_layers_damage_is_told_on_what_is_chosen_from(observed: Callable[[str], Observed]) -> None:
    model, ranges = observed("faster-rcnn").model, observed("faster-rcnn").ranges
    found = layer_damages(
        model,
        lambda nodes: QdqFromFloat(model, ranges, dialect_named("ort-x86"), float_nodes=nodes),
        observed("faster-rcnn").images[:2],
        SilentProgress(),
        budget_s=60,
    )
    assert len(found) == len(Graph(model).units(WEIGHTED))
    # The outputs themselves jump by as much as they are large, whichever layer is rounded.
    assert 0 < found[-1].noise <= found[0].noise < 0.05


def _alike(wanted: tuple[np.ndarray, ...], found: tuple[np.ndarray, ...]) -> np.ndarray:
    """For each wanted detection whether one of its label overlaps it by three quarters."""
    (boxes, _, labels), (others, _, their) = wanted, found
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.prod(one[:, 2:] - one[:, :2], axis=1) for one in (boxes, others)]
    overlap = both / (areas[0][:, None] + areas[1][None] - both)
    hit: np.ndarray = ((overlap > 0.75) & (labels[:, None] == their[None])).any(axis=1)
    return hit


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ssd", "faster-rcnn", "retinanet", "fcos"])
def test_a_trained_detector_finds_the_same_boxes_in_int8(
    kind: str,
    trained_detector: Detector,
    pictures: Pictures,
    tmp_path: Any,  # noqa: ANN401
) -> None:
    network = trained_detector(kind)
    rule = post_process(network)
    images = [image[None].numpy() for image in pictures(32)]
    answers = Answers(names=OUTPUTS, difference=partial(candidates_differ, score=rule.score), chosen=True)
    lower(deployable(network, (SIDE, SIDE)), images, tmp_path / "float.onnx", answers=answers)
    model = onnx.load(tmp_path / "float.onnx")

    def found(graph: Any) -> list[tuple[np.ndarray, ...]]:  # noqa: ANN401 - ModelProto
        outputs = run_onnx(graph, images)
        return [detections(*(output[0] for output in one), 0.5, rule.iou, rule.most) for one in outputs]

    with torch.no_grad():
        eager = [network([torch.from_numpy(image[0])])[0] for image in images]
    wanted = found(model)
    sure = [int((one["scores"] > 0.5).sum()) for one in eager]
    assert [len(one[1]) for one in wanted] == sure
    assert sum(sure) > 40
    rounded = found(QdqFromFloat(model, _ranges(model, images), dialect_named("ort-x86-7bit")))
    hits = np.concatenate([_alike(one, other) for one, other in zip(wanted, rounded, strict=True)])
    assert hits.mean() > 0.9, f"{hits.mean():.3f} of {len(hits)}"
