"""A detector's losses about two truths: as two trainings would have them, at the price of one backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from pipeline.tasks.detection.box_labels import BoxLabels
from pipeline.tasks.detection.losses_about_truth import LossesAboutTruth

if TYPE_CHECKING:
    from collections.abc import Callable

    Detector = Callable[[str], nn.Module]

_KINDS = ("ssd", "retinanet", "fcos", "faster-rcnn")
_EMPTY = (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))


def _truth(*boxes: tuple[float, float, float, float]) -> BoxLabels:
    placed = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return BoxLabels((placed, _EMPTY[0]), (torch.ones(len(boxes), dtype=torch.int64), _EMPTY[1]))


ONE, OTHER = _truth((8, 8, 30, 40)), _truth((20, 4, 60, 30), (2, 40, 30, 60))


def _asked(network: nn.Module, inputs: torch.Tensor, truth: BoxLabels) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)  # Faster R-CNN draws what it learns from
    return LossesAboutTruth(network, inputs).about(truth)


@pytest.fixture
def inputs(pictures: Callable[..., list[torch.Tensor]]) -> torch.Tensor:
    return torch.stack(pictures(2))


@pytest.mark.parametrize("kind", _KINDS)
def test_the_second_answer_is_what_a_network_asked_alone_says(
    tiny_detector: Detector, inputs: torch.Tensor, kind: str
) -> None:
    network = tiny_detector(kind).train()
    losses = LossesAboutTruth(network, inputs)
    torch.manual_seed(1)
    first = losses.about(ONE)
    torch.manual_seed(1)
    second = losses.about(OTHER)

    for found, truth in ((first, ONE), (second, OTHER)):
        wanted = _asked(network, inputs, truth)
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            torch.testing.assert_close(found[name], value)


@pytest.mark.parametrize("kind", _KINDS)
def test_the_backbone_is_asked_once_and_is_afterwards_what_it_was(
    tiny_detector: Detector, inputs: torch.Tensor, kind: str
) -> None:
    network, calls = tiny_detector(kind).train(), list[int]()
    hook = network.backbone.stem.register_forward_hook(lambda *_: calls.append(1))
    losses = LossesAboutTruth(network, inputs)
    losses.about(ONE)
    losses.about(OTHER)
    hook.remove()

    assert len(calls) == 1
    assert "forward" not in vars(network.backbone)  # a copy of it would call the old one
    features = network.backbone(inputs + 1)
    assert not torch.equal(features["0"], network.backbone(inputs)["0"])


def test_both_truths_draw_the_backbone(tiny_detector: Detector, inputs: torch.Tensor) -> None:
    network = tiny_detector("retinanet").train()
    weight = network.backbone.stem[0].weight
    slopes = []
    for truths in ((ONE,), (OTHER,), (ONE, OTHER)):
        network.zero_grad()
        losses = LossesAboutTruth(network, inputs)
        sum(sum(losses.about(truth).values()) for truth in truths).backward()
        slopes.append(weight.grad.clone())

    torch.testing.assert_close(slopes[2], slopes[0] + slopes[1], atol=2e-4, rtol=1e-3)
