"""Objects that a network's feature maps are too coarse for are told of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from pipeline.models.yolo.build import build_yolo
from pipeline.tasks.detection.box_labels import BoxLabels
from pipeline.tasks.detection.small_objects import doubt_of_small_objects

if TYPE_CHECKING:
    from collections.abc import Callable


def _boxes(*widths: float, unseen: int = 0) -> BoxLabels:
    boxes = tuple(torch.tensor([[1.0, 2.0, 1.0 + width, 40.0]]) for width in widths)
    return BoxLabels(boxes, (torch.tensor([0]),) * len(boxes), unseen)


def test_objects_narrower_than_the_finest_map_s_places_are_told_of(
    tiny_detector: Callable[[str], nn.Module],
) -> None:
    """The tiny detectors' finest map has a place every four pixels."""
    network = tiny_detector("retinanet")
    said = doubt_of_small_objects(network, _boxes(2, 3, 30), (3, 64, 64))

    assert said is not None
    assert said.startswith("half of the objects are narrower than 3 pixels of the input")
    assert "a place every 4: a larger input.size" in said
    assert doubt_of_small_objects(network, _boxes(2, 4, 30), (3, 64, 64)) is None


@pytest.mark.parametrize("size", [(300, 300), (360, 200)])
def test_sides_that_are_no_multiple_of_the_stride_are_framed(size: tuple[int, int]) -> None:
    """The finest map of a YOLO has a place every eight pixels, of the frame too."""
    network = build_yolo("x-nano", 2)
    said = doubt_of_small_objects(network, _boxes(7), (3, *size))

    assert said is not None
    assert "a place every 8:" in said
    assert doubt_of_small_objects(network, _boxes(8), (3, *size)) is None


def test_nothing_is_said_of_no_objects_or_a_network_without_a_backbone(
    tiny_detector: Callable[[str], nn.Module],
) -> None:
    assert doubt_of_small_objects(tiny_detector("ssd"), _boxes(), (3, 64, 64)) is None
    assert doubt_of_small_objects(nn.Linear(1, 1), _boxes(1), (3, 64, 64)) is None


def test_objects_below_a_pixel_are_counted_among_those_that_cannot_be_seen(
    tiny_detector: Callable[[str], nn.Module],
) -> None:
    network = tiny_detector("retinanet")
    few = "1 of 3 objects have a side below one pixel of the input, and are not learned"
    assert doubt_of_small_objects(network, _boxes(30, 30, unseen=1), (3, 64, 64)) == few
    most = doubt_of_small_objects(network, _boxes(30, unseen=20), (3, 64, 64)) or ""
    assert most.startswith("20 of 21 objects have a side below one pixel")
    assert "half of the objects are narrower than 1 pixels" in most
    assert (doubt_of_small_objects(network, _boxes(unseen=4), (3, 64, 64)) or "").startswith("4 of 4 objects")
