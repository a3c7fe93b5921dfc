"""Boxes follow what is done to their images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.data.boxes import Box, Objects
from pipeline.data.dataset import Sample
from pipeline.errors import DataError
from pipeline.preprocess import PreprocessSpec, boxes_in_image, boxes_in_input
from pipeline.tasks.detection.box_labels import BoxLabels
from pipeline.tasks.moves import Moves
from pipeline.training.augmentation import augmented, moves_of


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


@pytest.mark.parametrize("resize", ["squash", 64, 40])
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
