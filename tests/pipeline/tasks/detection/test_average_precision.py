"""COCO's average precision: what an image contributed gives the library's own figure back."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.data.boxes import Box, Objects
from pipeline.errors import DataError
from pipeline.tasks.detection.average_precision import Found, coco_figures, precision_of

CLASSES = 3


def _random(seed: int, images: int = 40) -> tuple[list[Found], list[Objects]]:
    """Objects, some of them crowds, and detections of which some are near an object."""
    draw = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(images):
        boxes = []
        for _ in range(draw.integers(0, 5)):
            left, top = draw.uniform(0, 150, 2)
            wide, high = draw.uniform(8, 120, 2)
            crowd = bool(draw.random() < 0.1)
            boxes.append(Box(int(draw.integers(CLASSES)), left, top, left + wide, top + high, crowd))
        near = [np.array([b.left, b.top, b.right, b.bottom]) + draw.normal(0, 6, 4) for b in boxes for _ in range(2)]
        wild = [np.array([x, y, x + 30, y + 40]) for x, y in draw.uniform(0, 150, (2, 2))]
        labels = [b.label for b in boxes for _ in range(2)] + draw.integers(CLASSES, size=2).tolist()
        found.append(Found(np.array(near + wild), draw.uniform(0.05, 1, len(labels)), np.array(labels)))
        truth.append(Objects(size=(300, 300), boxes=tuple(boxes)))
    return found, truth


@pytest.mark.parametrize("seed", range(5))
def test_the_contributions_give_the_library_s_figures_back(seed: int) -> None:
    found, truth = _random(seed)
    figures = coco_figures(found, truth, classes=CLASSES)
    once = [1] * len(truth)

    assert precision_of(figures.per_image)(once) == pytest.approx(figures.figures["AP"], abs=1e-6)
    assert precision_of(figures.per_image, thresholds=1)(once) == pytest.approx(figures.figures["AP50"], abs=1e-6)


def test_leaving_an_image_out_is_counting_it_no_time() -> None:
    found, truth = _random(7)
    whole = coco_figures(found, truth, classes=CLASSES)
    without = coco_figures(found[1:], truth[1:], classes=CLASSES)

    value = precision_of(whole.per_image)([0] + [1] * (len(truth) - 1))

    assert value == pytest.approx(without.figures["AP"], abs=1e-6)


def test_every_image_twice_is_every_image_once() -> None:
    found, truth = _random(3)
    average = precision_of(coco_figures(found, truth, classes=CLASSES).per_image)

    assert average([2] * len(truth)) == pytest.approx(average([1] * len(truth)), abs=1e-6)


def test_exact_boxes_are_perfect_and_none_are_nothing() -> None:
    truth = [Objects(size=(100, 100), boxes=(Box(0, 10, 10, 50, 60), Box(2, 5, 5, 30, 30)))]
    exact = [Found(np.array([[10, 10, 50, 60], [5, 5, 30, 30]]), np.array([0.9, 0.8]), np.array([0, 2]))]
    nothing = [Found(np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=np.int64))]

    assert coco_figures(exact, truth, classes=CLASSES).figures["AP"] == pytest.approx(1.0)
    assert coco_figures(nothing, truth, classes=CLASSES).figures["AP"] == 0.0


def test_images_without_any_object_cannot_be_scored() -> None:
    truth = [Objects(size=(10, 10), boxes=())]
    found = [Found(np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=np.int64))]

    with pytest.raises(DataError, match="there is nothing to find on the images that are scored"):
        coco_figures(found, truth, classes=CLASSES)


def _said(*rows: tuple[float, ...]) -> Found:
    boxes = np.array([row[1:] for row in rows], dtype=np.float64)
    return Found(boxes, np.array([row[0] for row in rows]), np.zeros(len(rows), dtype=np.int64))


def test_what_voc_calls_difficult_need_not_be_found_and_nothing_on_it_is_wrong() -> None:
    easy, hard = Box(0, 0, 0, 40, 40), Box(0, 100, 100, 200, 200, difficult=True)
    truth = [Objects(size=(300, 300), boxes=(easy, hard))]
    on_easy, on_hard, again = (0.5, 0, 0, 40, 40), (0.9, 100, 100, 200, 200), (0.8, 101, 100, 200, 200)

    for rows in ((on_easy,), (on_easy, on_hard), (on_easy, on_hard, again)):
        figures = coco_figures([_said(*rows)], truth, classes=1)
        assert figures.figures["AP"] == pytest.approx(1.0)
        assert precision_of(figures.per_image)([1]) == pytest.approx(1.0, abs=1e-6)
        assert figures.per_image[0]["there"] == [0]


def test_what_lies_within_something_difficult_without_being_it_is_wrong_and_within_a_crowd_it_is_not() -> None:
    easy, part = Box(0, 0, 0, 40, 40), (0.9, 120, 120, 140, 140)
    for place, wanted in (({"difficult": True}, 0.5), ({"crowd": True}, 1.0)):
        truth = [Objects(size=(300, 300), boxes=(easy, Box(0, 100, 100, 200, 200, **place)))]
        figures = coco_figures([_said((0.5, 0, 0, 40, 40), part)], truth, classes=1)
        assert figures.figures["AP50"] == pytest.approx(wanted)


def test_difficult_objects_alone_are_nothing_to_find() -> None:
    truth = [Objects(size=(10, 10), boxes=(Box(0, 0, 0, 5, 5, difficult=True),))]
    with pytest.raises(DataError, match="there is nothing to find on the images that are scored"):
        coco_figures([_said((0.5, 0, 0, 5, 5))], truth, classes=1)
