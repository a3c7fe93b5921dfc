"""Two lists of candidates are the same where only rounding exchanged neighbours, and not where a box is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.tasks.detection.deployable import candidates_differ

List = list[np.ndarray]


@pytest.fixture
def listed() -> List:
    """Fifty candidates of an image of 100 pixels, scores from 0.95 falling to 0.01."""
    generator = np.random.default_rng(0)
    corners = generator.uniform(0, 60, (50, 2))
    boxes = np.concatenate([corners, corners + generator.uniform(5, 40, (50, 2))], axis=1).astype(np.float32)
    scores = np.linspace(0.95, 0.01, 50, dtype=np.float32)
    return [boxes[None], scores[None], generator.integers(1, 4, (1, 50))]


def _changed(listed: List, output: int, place: int, by: float) -> List:
    copies = [one.copy() for one in listed]
    copies[output][0, place] += by
    return copies


def test_a_list_does_not_differ_from_itself(listed: List) -> None:
    assert candidates_differ(listed, listed, score=0.05) == 0


def test_neighbours_of_nearly_one_score_may_be_exchanged(listed: List) -> None:
    listed[1][0, 11] = listed[1][0, 10] - np.float32(1e-6)
    order = [*range(10), 11, 10, *range(12, 50)]
    exchanged = [one[:, order] for one in listed]
    exchanged[1] = np.sort(exchanged[1])[:, ::-1]
    assert candidates_differ(listed, exchanged, score=0.05) < 1e-5


def test_a_box_that_lies_elsewhere_is_seen_in_proportion(listed: List) -> None:
    found = candidates_differ(listed, _changed(listed, 0, 7, 2.0), score=0.05)
    assert found == pytest.approx(2 / listed[0].max(), rel=0.1)


def test_where_nothing_is_found_the_last_digit_of_a_sigmoid_is_no_difference(listed: List) -> None:
    """Of scores of a ten-thousandth, which a YOLO gives on noise, 6e-8 is a two-thousandth."""
    listed[1] *= np.float32(1.6e-4)
    assert candidates_differ(listed, _changed(listed, 1, 3, 6.4e-8), score=0.01) < 1e-5
    assert candidates_differ(listed, _changed(listed, 1, 0, 0.02), score=0.01) > 0.5


def test_another_label_is_seen(listed: List) -> None:
    assert candidates_differ(listed, _changed(listed, 2, 7, 1), score=0.05) > 0.05


def test_another_score_is_seen(listed: List) -> None:
    assert candidates_differ(listed, _changed(listed, 1, 7, 0.01), score=0.05) == pytest.approx(0.01 / 0.95, rel=1e-3)


def test_what_is_below_the_score_does_not_count(listed: List) -> None:
    last = int(np.flatnonzero(listed[1][0] < 0.05)[0])
    assert candidates_differ(listed, _changed(listed, 0, last, 20.0), score=0.05) == 0
    assert candidates_differ(listed, _changed(listed, 0, last, 20.0), score=0.0) > 0.05


def test_candidates_of_one_score_may_be_others(listed: List) -> None:
    listed[1][0, 20:] = 0.4
    assert candidates_differ(listed, _changed(listed, 0, 30, 20.0), score=0.05) == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_seen(listed: List, value: float) -> None:
    assert candidates_differ(listed, _changed(listed, 0, 45, value), score=0.05) == float("inf")


def test_another_number_of_candidates_is_seen(listed: List) -> None:
    assert candidates_differ(listed, [one[:, 1:] for one in listed], score=0.05) == float("inf")
