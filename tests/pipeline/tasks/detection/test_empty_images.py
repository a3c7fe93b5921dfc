"""An SSD learns nothing from images without objects, which is told."""

from __future__ import annotations

import pytest
import torch

from pipeline.models.torchvision_detectors import build_detector
from pipeline.tasks.detection.box_labels import BoxLabels
from pipeline.tasks.detection.empty_images import doubt_of_empty_images
from pipeline.tasks.detection.losses_about_truth import LossesAboutTruth

_BOX, _NONE = torch.tensor([[8.0, 8.0, 40.0, 40.0]]), torch.zeros(0, 4)


def _labels(*boxes: torch.Tensor) -> BoxLabels:
    return BoxLabels(boxes, tuple(torch.zeros(len(one), dtype=torch.int64) for one in boxes))


@pytest.mark.parametrize(
    ("name", "told"), [("ssdlite320_mobilenet_v3_large", True), ("fasterrcnn_mobilenet_v3_large_320_fpn", False)]
)
def test_it_is_told_of_what_has_no_gradient(name: str, *, told: bool) -> None:
    network = build_detector(name, classes=2).train()
    empty = LossesAboutTruth(network, torch.rand(2, 3, 64, 64)).about(_labels(_NONE, _NONE))
    assert (not any(float(loss.detach()) for loss in empty.values())) is told
    found = doubt_of_empty_images(network, _labels(_BOX, _NONE, _NONE))
    assert (found is not None and found.startswith("of 3 training images 2 show no object")) is told
    assert doubt_of_empty_images(network, _labels(_BOX)) is None
