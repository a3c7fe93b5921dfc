"""How many proposals Faster R-CNN looks at in a step of training."""

from __future__ import annotations

import pytest
import torch

from pipeline.models.sampled_proposals import samplers_of
from pipeline.models.torchvision_detectors import build_detector
from pipeline.tasks.detection.box_labels import BoxLabels
from pipeline.tasks.detection.losses_about_truth import LossesAboutTruth


@pytest.mark.parametrize(
    ("objects", "anchors", "proposals"),
    [((0, 0), 64, 16), ((3, 2), 64, 16), ((6, 0), 64, 16), ((9, 6), 64, 32), ((14, 14), 112, 48), ((90, 90), 256, 128)],
)
def test_as_many_proposals_are_drawn_as_the_objects_of_a_batch_are_worth(
    monkeypatch: pytest.MonkeyPatch, objects: tuple[int, int], anchors: int, proposals: int
) -> None:
    network = build_detector("fasterrcnn_mobilenet_v3_large_320_fpn", classes=3).train()
    monkeypatch.setattr(network, "forward", lambda *_: {})
    truth = BoxLabels(tuple(torch.zeros(count, 4) for count in objects), tuple(torch.zeros(count) for count in objects))
    LossesAboutTruth(network, torch.zeros(2, 3, 64, 64)).about(truth)
    assert [sampler.batch_size_per_image for sampler in samplers_of(network)] == [anchors, proposals]


def test_every_object_of_a_crowded_image_can_be_looked_at() -> None:
    network = build_detector("fasterrcnn_mobilenet_v3_large_320_fpn", classes=3)
    _, head = samplers_of(network)
    head.follow(30)
    matched = torch.cat([torch.ones(60), torch.zeros(60)])
    positive, negative = head([matched])
    assert (int(positive[0].sum()), int(negative[0].sum())) == (48, 48)


def test_a_detector_that_is_sampled_otherwise_stays_so() -> None:
    assert not samplers_of(build_detector("ssdlite320_mobilenet_v3_large", classes=3))
