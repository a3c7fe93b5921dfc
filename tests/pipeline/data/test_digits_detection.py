"""The embedded canvases: always the same, and no digit in two splits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.data.digits import split_digits
from pipeline.data.digits_detection import CANVAS
from pipeline.data.open import open_dataset

if TYPE_CHECKING:
    from pathlib import Path


def test_the_canvases_are_a_detection_data_set(tmp_path: Path) -> None:
    dataset = open_dataset("digits-detection", cache=tmp_path)

    assert (dataset.task, dataset.classes) == ("detection", tuple("0123456789"))
    assert [len(dataset.split(name)) for name in ("train", "calibration", "test")] == [1200, 128, 250]
    for name in ("train", "calibration", "test"):
        objects = [sample.label for sample in dataset.split(name)]
        counts = [len(one.boxes) for one in objects]
        assert (min(counts), max(counts)) == (0, 6)
        assert {box.label for one in objects for box in one.boxes} == set(range(10))
        assert all(one.size == (CANVAS, CANVAS) for one in objects)


def test_no_digit_is_drawn_in_two_splits() -> None:
    drawn = {name: {pixels.tobytes() for pixels, _ in digits} for name, digits in split_digits().items()}

    assert sum(map(len, drawn.values())) == len(set().union(*drawn.values()))
