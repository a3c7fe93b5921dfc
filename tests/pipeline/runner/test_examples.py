"""Which test images the report shows: always the same, and first those on which both found different things."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from pipeline.data.boxes import Box, Objects
from pipeline.data.dataset import Sample
from pipeline.runner.examples import examples_of
from pipeline.tasks.classification import Classification
from pipeline.tasks.detection.detection import Detection

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CAT = Box(0, 10, 10, 50, 50)


def _plan(samples: Sequence[Sample], task: Any, count: int = 4) -> Any:  # noqa: ANN401 - as much of a plan as is read
    dataset = SimpleNamespace(test=tuple(samples), classes=("cat", "dog"))
    recipe = SimpleNamespace(measure=SimpleNamespace(examples=count))
    return SimpleNamespace(parts=SimpleNamespace(task=task, dataset=dataset), recipe=recipe)


def _measured(decisions: Sequence[Any]) -> Any:  # noqa: ANN401 - as much of it as is read
    return SimpleNamespace(accuracy=SimpleNamespace(decisions=tuple(decisions)))


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Twenty images with a cat, and ten with nothing between them."""
    found = []
    for number in range(30):
        path = tmp_path / f"{number:02}.png"
        Image.new("RGB", (800, 60), (number, 0, 0)).save(path)
        boxes = () if number % 3 == 2 else (CAT,)
        label = Objects(size=(800, 60), boxes=boxes)
        found.append(Sample(path=path, name=path.name, label=label, sha256=""))
    return found


RIGHT = [[0, 0.9, 10, 10, 50, 50]]


def test_images_are_spread_over_the_split_and_show_something(samples: list[Sample]) -> None:
    said = _measured([[] if number % 3 == 2 else RIGHT for number in range(30)])
    examples = examples_of(_plan(samples, Detection()), said, said)

    assert [one.image for one in examples] == ["00.png", "07.png", "15.png", "22.png"]
    assert all(one.alike and one.truth and one.baseline == one.shipped for one in examples)
    assert [(mark.label, mark.score, mark.right) for mark in examples[0].baseline] == [("cat", 0.9, True)]


def test_half_of_them_are_images_on_which_both_found_different_things(samples: list[Sample]) -> None:
    before = _measured([[] if number % 3 == 2 else RIGHT for number in range(30)])
    after = _measured([[] if number % 3 == 2 or number == 4 else RIGHT for number in range(30)])
    many = _measured([[] for _ in range(30)])

    examples = examples_of(_plan(samples, Detection()), before, after)
    assert examples[0].image == "04.png"
    assert [one.alike for one in examples] == [False, True, True, True]
    assert [one.alike for one in examples_of(_plan(samples, Detection()), before, many)] == [False, False]
    assert [one.alike for one in examples_of(_plan(samples, Detection(), 1), before, after)] == [False]


def test_what_is_shown_is_small(samples: list[Sample]) -> None:
    said = _measured([RIGHT] * 30)
    (example,) = examples_of(_plan(samples, Detection(), 1), said, said)

    assert example.size == (800, 60)
    assert len(example.picture) < 4000


def test_nothing_is_shown_where_nothing_was_measured_or_asked_for(samples: list[Sample]) -> None:
    said = _measured([RIGHT] * 30)
    assert examples_of(_plan(samples, Detection()), None, said) == ()
    assert examples_of(_plan(samples, Detection()), said, None) == ()
    assert examples_of(_plan(samples, Detection(), 0), said, said) == ()


def test_a_classifier_shows_none(samples: list[Sample]) -> None:
    said = _measured([0] * 30)
    assert examples_of(_plan(samples, Classification()), said, said) == ()
