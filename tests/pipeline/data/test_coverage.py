"""Classes whose accuracy is not measured are named."""

from __future__ import annotations

from pathlib import Path

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
