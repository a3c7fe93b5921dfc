"""A YOLO network behaves as torchvision's detectors do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torchvision.models import detection
from torchvision.ops import box_iou

from pipeline.models.yolo.build import build_yolo

if TYPE_CHECKING:
    from pipeline.models.yolo.detector import YoloDetector

SIDE = 64
KINDS = ("x-nano", "9-t")
EMPTY = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}


def _network(name: str) -> YoloDetector:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_yolo(name, 2)
    network.transform.min_size, network.transform.max_size = (SIDE,), SIDE
    return network


def _scene(label: int, left: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """A bright rectangle whose channel is its class."""
    image = torch.full((3, SIDE, SIDE), 20.0)
    image[label - 1, 16:48, left : left + 24] = 230
    return image, {"boxes": torch.tensor([[left, 16.0, left + 24, 48]]), "labels": torch.tensor([label])}


@pytest.mark.parametrize("name", KINDS)
def test_it_answers_in_torchvisions_form(name: str) -> None:
    torchvisions = detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3)
    images = [torch.rand(3, SIDE, SIDE), torch.rand(3, SIDE, 48)]
    network = _network(name).eval()
    network.score_thresh = 0.0
    with torch.no_grad():
        ours, theirs = network(images), torchvisions.eval()(images)
    for one, other, image in zip(ours, theirs, images, strict=True):
        assert one.keys() == other.keys()
        assert all(one[key].dtype == other[key].dtype for key in one)
        assert 0 < len(one["scores"]) <= 100
        assert bool((one["scores"].diff() <= 0).all())
        assert set(one["labels"].tolist()) <= {1, 2}
        height, width = image.shape[1:]
        assert bool((one["boxes"] <= torch.tensor([width, height, width, height])).all())


@pytest.mark.parametrize("name", KINDS)
def test_images_without_objects_give_losses_that_every_head_but_the_boxes_learns_from(name: str) -> None:
    network = _network(name).train()
    losses = network(torch.rand(2, 3, SIDE, SIDE), [EMPTY, EMPTY])
    sum(losses.values()).backward()
    assert all(bool(value.isfinite()) for value in losses.values())
    assert float(losses["boxes"].detach()) == 0.0
    grads = [one.grad for one in network.parameters() if one.grad is not None]
    assert all(bool(grad.isfinite().all()) for grad in grads)
    assert max(float(grad.abs().max()) for grad in grads) > 0


@pytest.mark.parametrize("name", KINDS)
def test_targets_are_left_as_they_are(name: str) -> None:
    image, target = _scene(1, 8)
    before = {key: value.clone() for key, value in target.items()}
    _network(name).train()(torch.stack([image, image]), [target, EMPTY])
    assert all(torch.equal(target[key], before[key]) for key in before)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_it_learns_where_things_are_and_what(name: str) -> None:
    scenes = [_scene(label, left) for label in (1, 2) for left in (4, 16, 32)]
    images, targets = torch.stack([image for image, _ in scenes]), [target for _, target in scenes]
    network = _network(name).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(100):
            losses = network(images, targets)
            optimizer.zero_grad()
            sum(losses.values()).backward()
            optimizer.step()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None
            layer.reset_running_stats()
    with torch.no_grad():
        network(images, targets)
        found = network.eval()(images)
    for one, target in zip(found, targets, strict=True):
        assert one["labels"][0] == target["labels"][0]
        assert float(box_iou(one["boxes"][:1], target["boxes"])) > 0.7
