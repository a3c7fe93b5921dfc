"""Boxes follow what is done to their images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.data.boxes import Box, Objects
from pipeline.data.dataset import Sample
from pipeline.errors import DataError
from pipeline.image_input import boxes_in_image, boxes_in_input
from pipeline.preprocess import PreprocessSpec
from pipeline.tasks.detection.box_labels import BoxLabels
from pipeline.tasks.moves import Moves, Placement, Tile
from pipeline.training.augmentation import augmented, moves_of
from pipeline.training.mosaic import put_together, tiles_of


def _sample(*boxes: Box, size: tuple[int, int] = (100, 50)) -> Sample:
    return Sample(path=Path("a.png"), name="a.png", label=Objects(size=size, boxes=boxes), sha256="a")


def test_boxes_are_where_the_network_sees_the_objects() -> None:
    labels = BoxLabels.of([_sample(Box(1, 10, 10, 50, 40))], PreprocessSpec(size=(100, 100)))

    assert labels.boxes[0].tolist() == [[10.0, 20.0, 50.0, 80.0]]
    assert labels.classes[0].tolist() == [1]


def test_what_the_crop_cuts_off_is_no_object() -> None:
    spec = PreprocessSpec(size=(50, 50), resize=50)  # the middle of an image of 100 x 50
    labels = BoxLabels.of([_sample(Box(0, 0, 0, 20, 20), Box(1, 30, 10, 60, 40))], spec)

    assert labels.classes[0].tolist() == [1]
    assert labels.boxes[0].tolist() == [[5.0, 10.0, 35.0, 40.0]]


def test_crowds_are_not_learned_from() -> None:
    labels = BoxLabels.of([_sample(Box(0, 0, 0, 50, 50, crowd=True))], PreprocessSpec(size=(50, 50)))

    assert labels.boxes[0].shape == (0, 4)


@pytest.mark.parametrize("resize", ["squash", "letterbox", 64, 40])
def test_boxes_come_back_to_where_they_were(resize: int | str) -> None:
    spec = PreprocessSpec(size=(48, 56), resize=resize).model_dump(mode="json")
    boxes = np.array([[20.0, 20.0, 60.0, 70.0], [31.5, 12.25, 80.0, 81.0]])

    np.testing.assert_allclose(boxes_in_image(boxes_in_input(boxes, (120, 90), spec), (120, 90), spec), boxes)


def test_boxes_stay_on_their_objects_when_images_are_mirrored_and_shifted() -> None:
    """A bright rectangle and its box, moved in sixteen views: the box is where the brightness is."""
    pixels = torch.zeros(1, 1, 40, 64, dtype=torch.uint8)
    pixels[0, 0, 12:22, 20:35] = 255
    labels = BoxLabels((torch.tensor([[20.0, 12.0, 35.0, 22.0]]),), (torch.tensor([3]),))
    first = torch.tensor([0])

    for view in range(16):
        seen = augmented(pixels, first, view, ("flip", "shift"))
        (box,) = labels.moved(moves_of(first, view, ("flip", "shift"), (40, 64))).boxes[0].int().tolist()
        rows, columns = (seen[0, 0] > 0).nonzero().T
        assert box == [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


def _placed(box: list[float], *, size: tuple[int, int] = (40, 64), **placement: object) -> list[list[float]]:
    still = {"angle": 0.0, "translate": (0.0, 0.0), "scale": 1.0, "shear": (0.0, 0.0)}
    moves = Moves(size=size, placed=(Placement(**{**still, **placement}),))  # type: ignore[arg-type]
    labels = BoxLabels((torch.tensor([box], dtype=torch.float32),), (torch.tensor([3]),)).moved(moves)
    return [[round(value, 3) for value in row] for row in labels.boxes[0].tolist()]


def test_boxes_are_scaled_about_the_middle_moved_and_turned() -> None:
    """By hand: the middle of an image of 40 x 64 is at 32 to the right and 20 down."""
    assert _placed([20, 12, 35, 22], scale=0.5) == [[26, 16, 33.5, 21]]
    assert _placed([20, 12, 35, 22], scale=0.5, translate=(-4.0, 3.5)) == [[22, 19.5, 29.5, 24.5]]
    assert _placed([20, 12, 35, 22], angle=90.0) == [[30, 8, 40, 23]]  # clockwise: what was left is above
    assert _placed([20, 12, 35, 22], scale=2.0) == [[8, 4, 38, 24]]
    assert _placed([20, 15, 30, 25], size=(40, 40), angle=45.0) == [[16.464, 16.464, 30.607, 30.607]]  # around it


def test_of_an_enlarged_image_what_is_left_of_an_object_counts_from_a_quarter_on() -> None:
    assert _placed([0, 10, 32, 20], scale=2.0) == [[0, 0, 32, 20]]
    assert _placed([0, 10, 18, 20], scale=2.0) == []  # 4 of 36 pixels
    assert _placed([56, 0, 64, 8], translate=(4.0, 0.0)) == [[60, 0, 64, 8]]
    assert _placed([56, 0, 64, 8], translate=(7.0, 0.0)) == []


def test_what_was_shifted_out_of_an_image_does_not_come_back_when_it_is_made_smaller() -> None:
    """Pixels beyond the border are gone: a box there would be on the grey around the smaller image."""
    half = Placement(angle=0.0, translate=(0.0, 0.0), scale=0.5, shear=(0.0, 0.0))
    moves = Moves(size=(40, 64), right=torch.tensor([12]), down=torch.tensor([0]), placed=(half,))
    boxes = torch.tensor([[50.0, 10, 62, 20], [40, 10, 60, 20], [10, 10, 20, 20]])
    labels = BoxLabels((boxes,), (torch.tensor([1, 2, 3]),)).moved(moves)
    assert labels.classes[0].tolist() == [2, 3]  # of the first a sixth is left
    assert labels.boxes[0].tolist() == [[42, 15, 48, 20], [27, 15, 32, 20]]


@pytest.mark.parametrize("kinds", [("scale",), ("flip", "shift", "scale"), ("affine",), ("flip", "scale", "affine")])
def test_boxes_stay_on_their_objects_when_images_are_placed_anew(kinds: tuple[str, ...]) -> None:
    """A bright ellipse, whose box is the same whichever way it is turned but for a pixel, in sixteen views."""
    rows, columns = torch.arange(80)[:, None] + 0.5, torch.arange(96)[None] + 0.5
    pixels = torch.zeros(1, 1, 80, 96, dtype=torch.uint8)
    pixels[0, 0][((rows - 36) / 14) ** 2 + ((columns - 50) / 14) ** 2 <= 1] = 255
    labels = BoxLabels((torch.tensor([[36.0, 22.0, 64.0, 50.0]]),), (torch.tensor([3]),))
    first, seen_whole = torch.tensor([0]), 0

    for view in range(16):
        moves = moves_of(first, view, kinds, (80, 96))  # type: ignore[arg-type]
        bright = augmented(pixels, first, view, kinds, moves)[0, 0] > 140  # type: ignore[arg-type]
        found = labels.moved(moves).boxes[0]
        down, right = bright.nonzero().T
        if not len(found) or min(int(down.min()), int(right.min())) == 0 or bright[-1].any() or bright[:, -1].any():
            continue  # cut off: the box around what is left of an ellipse is smaller than what is left of its box
        seen_whole += 1
        around = [int(right.min()), int(down.min()), int(right.max()) + 1, int(down.max()) + 1]
        reach = 1.5 if "affine" not in kinds else 0.12 * (around[2] - around[0]) * 2  # the corners' box is larger
        np.testing.assert_allclose(found[0], around, atol=reach)
        assert (found[0, :2] <= torch.tensor(around[:2]) + 1.5).all()
        assert (found[0, 2:] >= torch.tensor(around[2:]) - 1.5).all()
    assert seen_whole >= 5


def test_boxes_of_a_mosaic_are_where_its_tiles_lie() -> None:
    tiles = (
        Tile(part=0, size=(20, 32), corner=(-8, 4), window=(0, 4, 24, 24)),
        Tile(part=1, size=(40, 64), corner=(24, -16), window=(24, 0, 64, 24)),
    )
    own = BoxLabels((torch.tensor([[40.0, 10.0, 60.0, 30.0], [0.0, 0.0, 20.0, 8.0]]),), (torch.tensor([1, 2]),))
    other = BoxLabels((torch.tensor([[0.0, 20.0, 30.0, 36.0], [50.0, 30.0, 64.0, 40.0]]),), (torch.tensor([3, 4]),))

    whole = BoxLabels.put_together([own, other], [tiles], (40, 64))

    assert whole.boxes[0].tolist() == [[12, 9, 22, 19], [24, 4, 54, 20]]
    assert whole.classes[0].tolist() == [1, 3]  # 2 of 10 pixels of the second and nothing of the fourth are in sight


def test_boxes_of_mosaics_are_on_their_objects() -> None:
    """Four images with one rectangle each, of a brightness of its own, in twelve views."""
    places = [(10, 30, 8, 20), (22, 44, 14, 34), (30, 58, 4, 20), (6, 24, 22, 38)]
    brightness = (255, 220, 60, 25)
    parts, labels = [], []
    for (left, right, top, bottom), bright in zip(places, brightness, strict=True):
        image = torch.full((1, 1, 40, 64), 140, dtype=torch.uint8)
        image[0, 0, top:bottom, left:right] = bright
        parts.append(image)
        box = torch.tensor([[left, top, right, bottom]], dtype=torch.float32)
        labels.append(BoxLabels((box,), (torch.tensor([brightness.index(bright)]),)))
    seen, mosaics = set(), 0

    for view in range(12):
        tiles = tiles_of(torch.tensor([0]), view, (40, 64))
        mosaics += len(tiles[0]) > 1
        whole = put_together(parts, tiles)[0, 0]
        found = BoxLabels.put_together(labels, tiles, (40, 64))
        for box, label in zip(found.boxes[0], found.classes[0].tolist(), strict=True):
            seen.add(label)
            apart = (140 - brightness[label]) / 2
            inside = whole > 140 - apart if apart < 0 else whole < 140 - apart
            left, top, right, bottom = (box.round().int() + torch.tensor([1, 1, -1, -1])).tolist()
            assert bool(inside[top:bottom, left:right].all())
    assert seen == {0, 1, 2, 3}
    assert 2 <= mosaics <= 10


def test_the_tiles_of_a_mosaic_meet_in_a_point_and_do_not_overlap() -> None:
    size = (40, 64)
    for tiles in tiles_of(torch.arange(60), 0, size):
        count = torch.zeros(size)
        for tile in tiles:
            left, top, right, bottom = tile.window
            assert 0 <= left < right <= 64
            assert 0 <= top < bottom <= 40
            count[top:bottom, left:right] += 1
        assert int(count.max()) == 1
        assert len(tiles) in {1, 4}
        assert bool((count == 1).all()) or len(tiles) == 4


def test_an_object_that_is_mostly_out_of_sight_is_gone() -> None:
    labels = BoxLabels((torch.tensor([[0.0, 0.0, 10.0, 10.0]]),), (torch.tensor([0]),))
    out = Moves(size=(40, 40), down=torch.tensor([0]), right=torch.tensor([-8]))
    half = Moves(size=(40, 40), down=torch.tensor([0]), right=torch.tensor([-5]))

    assert len(labels.moved(out).boxes[0]) == 0
    assert labels.moved(half).boxes[0].tolist() == [[0.0, 0.0, 5.0, 10.0]]


def test_what_lies_mostly_outside_of_the_input_is_no_object() -> None:
    labels = BoxLabels((torch.tensor([[30.0, 0.0, 50.0, 10.0], [38.0, 0.0, 50.0, 10.0]]),), (torch.tensor([1, 2]),))

    assert labels.within((40, 40)).boxes[0].tolist() == [[30.0, 0.0, 40.0, 10.0]]
    assert labels.within((40, 40)).classes[0].tolist() == [1]


def test_an_image_with_a_class_has_no_boxes() -> None:
    sample = Sample(path=Path("a.png"), name="a.png", label=1, sha256="a")

    with pytest.raises(DataError, match="this image has a class and no boxes"):
        BoxLabels.of([sample], PreprocessSpec(size=(8, 8)))
