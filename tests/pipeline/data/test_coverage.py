"""Classes whose accuracy is not measured are named."""

from __future__ import annotations

from pathlib import Path

from pipeline.data.boxes import Box, Objects
from pipeline.data.coverage import unscored
from pipeline.data.dataset import Dataset, Sample


def _dataset(classes: int, scored: set[int]) -> Dataset:
    samples = tuple(Sample(path=Path("x"), name=str(label), label=label, sha256=str(label)) for label in scored)
    names = tuple(f"c{number}" for number in range(classes))
    return Dataset(name="d", classes=names, train=(), calibration=samples, test=samples)


def test_every_class_with_test_images_is_all_well() -> None:
    assert unscored(_dataset(3, {0, 1, 2})) is None


def test_a_class_without_test_images_is_named() -> None:
    told = unscored(_dataset(3, {0, 2}))
    assert told == "no test images of class 'c1': how well they are recognised is not measured"


def test_of_many_such_classes_three_are_named() -> None:
    told = unscored(_dataset(9, {0, 2}))
    assert told == "no test images of class 'c1', 'c3', 'c4' and 4 more: how well they are recognised is not measured"


def test_a_single_class_says_nothing() -> None:
    assert "'c0' is the only class: whatever a network answers is right" in str(unscored(_dataset(1, {0})))


def test_what_does_not_have_to_be_found_is_not_scored() -> None:
    boxes = (Box(0, 0, 0, 4, 4), Box(1, 0, 0, 4, 4, difficult=True), Box(2, 0, 0, 4, 4, crowd=True))
    sample = Sample(path=Path("x"), name="0", label=Objects(size=(8, 8), boxes=boxes), sha256="")
    dataset = Dataset(name="d", classes=("a", "b", "c"), train=(), calibration=(), test=(sample,))
    assert "no test images of class 'b', 'c'" in str(unscored(dataset))
