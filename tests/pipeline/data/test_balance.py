"""Uneven classes are told before time is spent on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.data.balance import imbalance
from pipeline.data.boxes import Box, Objects
from pipeline.data.dataset import Dataset, Sample


def _dataset(*counts: int) -> Dataset:
    train = tuple(
        Sample(path=Path("x"), name=f"{label}/{number}", label=label, sha256="")
        for label, count in enumerate(counts)
        for number in range(count)
    )
    names = tuple(f"class {label}" for label in range(len(counts)))
    return Dataset(name="made", classes=names, train=train, calibration=(), test=())


@pytest.mark.parametrize("counts", [(), (5, 5), (14, 5), (0, 0)])
def test_nothing_is_said_of_classes_that_are_about_alike(counts: tuple[int, ...]) -> None:
    assert imbalance(_dataset(*counts), "distill") is None


def test_the_largest_and_the_smallest_are_named_and_what_helps() -> None:
    told = imbalance(_dataset(12, 90, 30), "prune")
    assert told is not None
    assert "90 training images of 'class 1', 12 of 'class 0'" in told
    assert "prune.schedule.balanced=true" in told


def test_a_class_without_images_is_named() -> None:
    told = imbalance(_dataset(12, 0, 10, 0), "distill")
    assert told is not None
    assert "'class 1' and 1 more" in told


def test_what_nobody_is_trained_on_is_no_image_of_its_class() -> None:
    def dataset(*boxes: Box) -> Dataset:
        train = (Sample(path=Path("x"), name="0", label=Objects(size=(8, 8), boxes=boxes), sha256=""),)
        return Dataset(name="made", classes=("cat", "dog"), train=train, calibration=(), test=())

    cat, dogs = Box(0, 0, 0, 4, 4), Box(1, 0, 0, 4, 4, crowd=True)
    assert "no training images of class 'dog'" in str(imbalance(dataset(cat, dogs), "prune"))
    assert imbalance(dataset(cat, Box(1, 0, 0, 4, 4, difficult=True)), "prune") is None
    for boxes in ((), (dogs,)):
        assert "none of 1 training images shows an object" in str(imbalance(dataset(*boxes), "prune"))
