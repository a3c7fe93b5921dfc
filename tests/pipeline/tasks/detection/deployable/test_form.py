"""A deployable form and the runner's suppression say what the eager detector says."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torchvision.models import detection

from pipeline.errors import UsageError
from pipeline.lowering.cpu import run_onnx
from pipeline.lowering.export import OnnxFromTorch
from pipeline.lowering.lower import lower
from pipeline.lowering.parity import Answers
from pipeline.tasks.detection.deployable import OUTPUTS, candidates_differ, deployable, post_process
from pipeline.tasks.detection.deployable.one_stage import FcosForm
from pipeline.tasks.detection.interface import found_by
from pipeline.tasks.reading.detection import detections

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SIDE, CLASSES = 64, 4  # of the tiny detectors
TINY = ("faster-rcnn", "ssd", "retinanet", "fcos", "yolo/x-nano", "yolo/9-t")

_LOWERED = tuple(kind if kind == "ssd" else pytest.param(kind, marks=pytest.mark.slow) for kind in TINY)

Found = tuple[np.ndarray, np.ndarray, np.ndarray]
Detector = Callable[[str], nn.Module]
Pictures = Callable[..., list[torch.Tensor]]
_BANNED = {"NonZero", "Loop", "If", "Scan", "NonMaxSuppression", "Where", "Compress", "Unique"}
"""Operators of a shape or a course that depends on values; Where is no such one, but has no need to be there."""


def _eager(network: Any, image: torch.Tensor) -> Found:  # noqa: ANN401 - torchvision has no types
    with torch.no_grad():
        found = network([image])[0]
    return found["boxes"].numpy(), found["scores"].numpy(), found["labels"].numpy()


def _shipped(outputs: Sequence[Any], network: nn.Module) -> Found:
    rule = post_process(network)
    boxes, scores, labels = (np.asarray(output)[0] for output in outputs)
    return detections(boxes, scores, labels, rule.score, rule.iou, rule.most)


def _assert_same(wanted: Found, found: Found) -> None:
    """The same number, scores within 1e-3, and for each box one of its label within half a pixel."""
    assert len(wanted[1]) == len(found[1])
    np.testing.assert_allclose(found[1], wanted[1], atol=1e-3)
    for box, score, label in zip(*wanted, strict=True):
        like = (np.abs(found[1] - score) < 1e-3) & (found[2] == label)
        assert np.abs(found[0][like] - box).max(axis=1).min() < 0.5


@pytest.mark.parametrize("kind", TINY)
def test_the_form_finds_what_the_eager_detector_finds(kind: str, tiny_detector: Detector, pictures: Pictures) -> None:
    network = tiny_detector(kind)
    form = deployable(network, (SIDE, SIDE))
    counts = []
    for image in pictures(8):
        wanted = _eager(network, image)
        with torch.no_grad():
            _assert_same(wanted, _shipped(form(image[None]), network))
        counts.append(len(wanted[1]))
    assert min(counts) > 3  # else little was compared
    assert len(set(counts)) > 1 or max(counts) == post_process(network).most


@pytest.mark.parametrize("kind", TINY)
def test_candidates_have_a_fixed_number_fall_in_score_and_lie_in_the_image(
    kind: str, tiny_detector: Detector, pictures: Pictures
) -> None:
    form = deployable(tiny_detector(kind), (SIDE, SIDE))
    shapes = set()
    for image in [*pictures(2), torch.zeros(3, SIDE, SIDE)]:
        with torch.no_grad():
            boxes, scores, labels = form(image[None])
        shapes.add((tuple(boxes.shape), tuple(scores.shape), tuple(labels.shape)))
        assert (boxes.dtype, scores.dtype, labels.dtype) == (torch.float32, torch.float32, torch.int64)
        assert bool((scores[0].diff() <= 0).all())
        assert bool((boxes >= 0).all())
        assert bool((boxes <= SIDE).all())
        assert set(labels.unique().tolist()) <= set(range(1, CLASSES))
    assert len(shapes) == 1


@pytest.mark.parametrize("kind", TINY)
def test_the_form_knows_how_many_classes_the_network_can_name(kind: str, tiny_detector: Detector) -> None:
    assert deployable(tiny_detector(kind), (SIDE, SIDE)).classes == CLASSES - 1


@pytest.mark.parametrize("kind", ["retinanet", "fcos"])
def test_label_0_is_no_detection(kind: str, tiny_detector: Detector, pictures: Pictures) -> None:
    network: Any = tiny_detector(kind)
    network.head.classification_head.cls_logits.bias.data[::CLASSES] = 2
    batch = torch.stack(pictures(2))
    with torch.no_grad():
        assert 0 in network(batch)[0]["labels"]
        labels = [*(labels for _, _, labels in found_by(network, batch))]
        labels.append(deployable(network, (SIDE, SIDE))(batch[:1])[2].numpy())
    assert all(one.min() >= 1 for one in labels)


def test_likelihoods_of_next_to_nothing_have_a_slope(tiny_detector: Detector) -> None:
    form = deployable(tiny_detector("fcos"), (SIDE, SIDE))
    assert isinstance(form, FcosForm)
    logits = torch.tensor([[0.0, -200.0, -60.0, 3.0]]).requires_grad_()
    centred = torch.tensor([[-60.0]]).requires_grad_()
    likely = form.likelihoods({"cls_logits": logits, "bbox_ctrness": centred})
    likely.sum().backward()

    torch.testing.assert_close(likely[0, 2], (torch.tensor(3.0).sigmoid() * centred[0, 0].sigmoid()).sqrt())
    for leaf in (logits, centred):
        assert leaf.grad is not None
        assert bool(leaf.grad.isfinite().all())
        assert float(leaf.grad.abs().sum()) > 0


def _assert_found_by(model: Any, network: nn.Module, images: Sequence[torch.Tensor]) -> None:  # noqa: ANN401 - ModelProto
    """That the exported graph depends on no value and finds what the network finds."""
    assert tuple(output.name for output in model.graph.output) == OUTPUTS
    assert not {node.op_type for node in model.graph.node} & _BANNED
    for item in model.graph.output:
        assert all(side.dim_value > 0 for side in item.type.tensor_type.shape.dim)
    for image, outputs in zip(images, run_onnx(model, [image[None].numpy() for image in images]), strict=True):
        _assert_same(_eager(network, image), _shipped(outputs, network))


@pytest.mark.parametrize("kind", _LOWERED)
def test_the_exported_graph_finds_the_same_with_shapes_that_depend_on_no_value(
    kind: str, tiny_detector: Detector, pictures: Pictures, tmp_path: Path
) -> None:
    network = tiny_detector(kind)
    form = deployable(network, (SIDE, SIDE))
    images = pictures(4)
    path = tmp_path / "float.onnx"
    differ = partial(candidates_differ, score=post_process(network).score)
    answers = Answers(names=OUTPUTS, difference=differ, chosen=True)
    lowered = lower(form, [image[None].numpy() for image in images], path, answers=answers)
    assert not any(note.startswith("exporter refused") for note in lowered.notes)
    assert lowered.max_relative_error < 1e-4
    _assert_found_by(onnx.load(path), network, images)


def test_two_stages_of_the_other_exporter_find_the_same_too(tiny_detector: Detector, pictures: Pictures) -> None:
    network = tiny_detector("faster-rcnn")
    form, example = deployable(network, (SIDE, SIDE)), torch.zeros(1, 3, SIDE, SIDE)
    model = OnnxFromTorch(form, example, exporter="torchscript", opset=18, outputs=OUTPUTS)
    _assert_found_by(model, network, pictures(4))


def test_sides_that_are_no_multiple_of_the_stride_are_framed_as_the_eager_detector_does(
    tiny_detector: Detector, pictures: Pictures
) -> None:
    network = tiny_detector("retinanet")
    form = deployable(network, (SIDE, 50))
    network.transform.min_size, network.transform.max_size = (50,), SIDE
    for image in pictures(3):
        narrow = image[:, :, :50].contiguous()
        wanted = _eager(network, narrow)
        with torch.no_grad():
            _assert_same(wanted, _shipped(form(narrow[None]), network))
        assert len(wanted[1]) > 3


def test_the_form_is_in_eval_mode_as_the_network_is_from_then_on(tiny_detector: Detector) -> None:
    network = tiny_detector("ssd").train()
    form = deployable(network, (SIDE, SIDE))  # an exporter puts the mode of the whole back into every part
    assert not any(part.training for part in (*form.modules(), *network.modules()))


def test_weights_are_shared_and_keep_their_names(tiny_detector: Detector) -> None:
    for kind in TINY:
        network = tiny_detector(kind)
        assert (
            dict(deployable(network, (64, 64)).named_parameters()).items() <= dict(network.named_parameters()).items()
        )


def test_a_network_that_is_no_detector_is_refused() -> None:
    with pytest.raises(UsageError) as raised:
        deployable(nn.Flatten(), (8, 8))
    assert raised.value.where == "Flatten"
    with pytest.raises(UsageError, match="does not say what is a detection"):
        post_process(nn.Flatten())


@pytest.mark.parametrize(("score", "iou", "kept"), [(-1.0, 2.0, (0.0, 1.0)), (0.3, 0.4, (0.3, 0.4))])
def test_thresholds_that_keep_everything_are_understood(score: float, iou: float, kept: tuple[float, float]) -> None:
    said = SimpleNamespace(score_thresh=score, nms_thresh=iou, detections_per_img=7)
    rule = post_process(said)  # type: ignore[arg-type]
    assert (rule.score, rule.iou, rule.most) == (*kept, 7)


@pytest.mark.parametrize(("score", "iou", "most"), [(float("nan"), 0.5, 7), (0.1, float("nan"), 7), (0.1, 0.5, 0)])
def test_a_rule_by_which_nothing_is_found_is_refused(score: float, iou: float, most: int) -> None:
    said = SimpleNamespace(score_thresh=score, nms_thresh=iou, detections_per_img=most)
    with pytest.raises(UsageError, match="finds nothing, whatever is on an image"):
        post_process(said)  # type: ignore[arg-type]


def test_a_number_of_detections_that_is_none_is_refused() -> None:
    said = SimpleNamespace(score_thresh=0.1, nms_thresh=0.5, detections_per_img=float("inf"))
    with pytest.raises(UsageError, match="does not say what is a detection"):
        post_process(said)  # type: ignore[arg-type]


def test_masks_have_no_form() -> None:
    network = detection.maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=3)
    with pytest.raises(UsageError, match="gives more than boxes"):
        deployable(network, (64, 64))


@pytest.mark.parametrize(
    ("kind", "rule"), [("faster-rcnn", (0.3, 0.5, 100)), ("ssd", (0.35, 0.45, 200)), ("fcos", (0.2, 0.6, 100))]
)
def test_what_is_left_to_do_is_what_the_network_says(
    kind: str, rule: tuple[float, float, int], tiny_detector: Detector
) -> None:
    found = post_process(tiny_detector(kind))
    assert (found.score, found.iou, found.most) == rule
