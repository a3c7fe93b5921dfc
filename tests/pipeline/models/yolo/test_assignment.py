"""Which places learn which objects: cases that can be told by hand, and the laws of both assignments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_iou

from pipeline.models.yolo.places import centres_of, sides_of
from pipeline.models.yolo.sim_ota import sim_ota
from pipeline.models.yolo.task_aligned import task_aligned

if TYPE_CHECKING:
    from pipeline.models.yolo.assigned import Assigned

KINDS = (sim_ota, task_aligned)


def _anchors(side: int = 64, strides: tuple[int, ...] = (8, 16)) -> Tensor:
    """As torchvision's generator makes them."""
    found = []
    for stride in strides:
        at = torch.arange(side // stride) * stride
        rows, columns = torch.meshgrid(at, at, indexing="ij")
        corners = torch.stack([columns, rows], dim=2).reshape(-1, 2).float()
        found.append(torch.cat([corners - stride / 2, corners + stride / 2], dim=1))
    return torch.cat(found)


ANCHORS = _anchors()
OBJECTS = torch.tensor([[4.0, 4, 28, 28], [30, 30, 62, 62]])
LABELS = torch.tensor([0, 1])


def _said(boxes: Tensor) -> tuple[Tensor, Tensor]:
    return boxes, torch.full((len(boxes), 2), 0.1)


def _around_places(side: float) -> Tensor:
    """A square of that side around every place."""
    return torch.cat([centres_of(ANCHORS) - side / 2, centres_of(ANCHORS) + side / 2], dim=1)


def _fitting() -> Tensor:
    """Every place says the object that it is nearest to."""
    middles = (OBJECTS[:, :2] + OBJECTS[:, 2:]) / 2
    return OBJECTS[torch.cdist(centres_of(ANCHORS), middles).argmin(dim=1)]


def test_places_stand_where_they_look() -> None:
    assert centres_of(ANCHORS)[0].tolist() == [4, 4]
    assert centres_of(ANCHORS)[64 + 1].tolist() == [24, 8]
    assert sides_of(ANCHORS)[[0, 64]].flatten().tolist() == [8, 16]


@pytest.mark.parametrize("assign", KINDS)
def test_every_object_is_learned_by_places_within_it_and_no_place_learns_two(assign: object) -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        boxes = _around_places(24) + torch.randn(len(ANCHORS), 4, generator=generator)
        likelihoods = torch.rand(len(ANCHORS), 2, generator=generator)
        found: Assigned = assign(boxes, likelihoods, ANCHORS, OBJECTS, LABELS)  # type: ignore[operator]
        assert set(found.objects.tolist()) == {0, 1}
        assert bool((found.places.diff() > 0).all())
        centres, of = centres_of(ANCHORS)[found.places], OBJECTS[found.objects]
        assert bool(((centres > of[:, :2]) & (centres < of[:, 2:])).all())
        assert bool(((found.quality >= 0) & (found.quality <= 1)).all())


@pytest.mark.parametrize("assign", KINDS)
def test_nothing_is_learned_of_an_image_without_objects(assign: object) -> None:
    none = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    found: Assigned = assign(*_said(_around_places(16)), ANCHORS, *none)  # type: ignore[operator]
    assert len(found.places) == len(found.objects) == len(found.quality) == 0


def test_as_many_places_learn_an_object_as_their_overlaps_add_up_to() -> None:
    """Ten places that say exactly what is there: ten; places that say next to nothing: one."""
    exact = sim_ota(*_said(_fitting()), ANCHORS, OBJECTS, LABELS)
    near = [4 + 4, 9 + 9]  # within a stride and a half of the centres: of both levels
    assert torch.bincount(exact.objects).tolist() == [min(10, count) for count in near]
    poor = sim_ota(*_said(_around_places(1)), ANCHORS, OBJECTS, LABELS)
    assert torch.bincount(poor.objects).tolist() == [1, 1]


def test_of_places_that_overlap_alike_the_surer_one_learns() -> None:
    boxes, likelihoods = _said(_around_places(1))
    inside = ((centres_of(ANCHORS) - torch.tensor([16.0, 16])).abs().amax(dim=1) < 5).nonzero()[:, 0]
    likelihoods[inside[-1], 0] = 0.9
    found = sim_ota(boxes, likelihoods, ANCHORS, OBJECTS[:1], LABELS[:1])
    assert found.places.tolist() == [int(inside[-1])]


def test_the_quality_of_sim_ota_is_the_overlap() -> None:
    boxes, likelihoods = _said(_around_places(20))
    found = sim_ota(boxes, likelihoods, ANCHORS, OBJECTS, LABELS)
    overlaps = box_iou(boxes[found.places], OBJECTS)
    torch.testing.assert_close(found.quality, overlaps[range(len(found.places)), found.objects])


def test_the_best_aligned_place_aims_at_the_best_overlap() -> None:
    boxes, likelihoods = _said(_around_places(20))
    found = task_aligned(boxes, likelihoods, ANCHORS, OBJECTS, LABELS)
    overlaps = box_iou(boxes[found.places], OBJECTS)
    for number in (0, 1):
        mine = found.objects == number
        assert int(mine.sum()) <= 10
        assert float(found.quality[mine].max()) == pytest.approx(float(overlaps[mine, number].max()))


def test_a_small_object_that_nothing_yet_fits_has_a_place_that_aims_at_the_best_overlap() -> None:
    """A new head says boxes of a hundred pixels; the sixth power of what they share with a small one is tiny."""
    small = torch.tensor([[10.0, 10, 20, 20]])
    boxes = _around_places(120)
    found = task_aligned(boxes, torch.full((len(boxes), 1), 0.01), ANCHORS, small, torch.tensor([0]))
    overlaps = box_iou(boxes[found.places], small)
    assert float(found.quality.max()) == pytest.approx(float(overlaps.max()), rel=1e-3)
    assert float(overlaps.max()) < 0.01


def test_a_place_within_two_objects_learns_the_one_it_covers_better() -> None:
    """Few places, so that both objects choose all that are within them."""
    anchors = _anchors(strides=(16,))
    objects = torch.tensor([[0.0, 0, 48, 48], [16, 16, 64, 64]])
    boxes = objects[1].expand(len(anchors), 4)
    found = task_aligned(boxes, torch.full((len(anchors), 2), 0.5), anchors, objects, LABELS)
    shared = ((centres_of(anchors)[found.places] > 16) & (centres_of(anchors)[found.places] < 48)).all(dim=1)
    assert int(shared.sum()) == 4
    assert found.objects[shared].unique().tolist() == [1]
