"""The time left of a fleet is what cells like those that wait took, or is not told."""

from __future__ import annotations

import pytest

from pipeline.fleet.cell_run import CellEnd
from pipeline.fleet.time_left import TimeLeft, told


def _end(wall_s: float, *, ran: tuple[str, ...] = ("baseline", "build"), error: str | None = None) -> CellEnd:
    return CellEnd(exit_code=0 if error is None else 2, error=error, wall_s=wall_s, ran=ran)


@pytest.fixture
def left() -> TimeLeft:
    """Of four cells: two that train, and two that share these trainings."""
    return TimeLeft(first=[True, False, True, False])


def test_before_any_cell_has_ended_it_is_unknown(left: TimeLeft) -> None:
    left.begins(0, 0.0)
    assert left.left_s([0, 1, 2, 3], 50.0) is None


def test_it_falls_while_a_cell_runs(left: TimeLeft) -> None:
    left.begins(0, 0.0)
    left.ends(0, _end(100.0), tries=1)
    left.begins(2, 100.0)

    found = [left.left_s([1, 2, 3], 100.0 + second) for second in (0, 10, 60, 100, 140)]

    assert found == [300.0, 290.0, 240.0, 200.0, 200.0]  # of sharers at most what a training took is counted on


def test_cells_that_share_a_training_are_known_by_their_own_kind(left: TimeLeft) -> None:
    for cell, wall_s in ((0, 100.0), (2, 200.0), (1, 30.0)):
        left.ends(cell, _end(wall_s), tries=1)

    assert left.left_s([3], 0.0) == 30.0


@pytest.mark.parametrize(
    ("end", "tries"),
    [
        (_end(8.0, ran=()), 1),  # from the store
        (_end(2.0, error="no such data"), 1),
        (_end(9.0), 2),  # went on where a lost worker had been
    ],
)
def test_a_cell_that_did_not_work_from_start_to_end_says_nothing_of_others(
    left: TimeLeft, end: CellEnd, tries: int
) -> None:
    left.ends(0, end, tries=tries)
    assert left.left_s([1, 2, 3], 0.0) is None

    left.ends(2, _end(100.0), tries=1)
    assert left.left_s([1], 0.0) == 100.0


def test_cells_that_run_at_once_are_counted_side_by_side() -> None:
    left = TimeLeft(first=[True] * 6)
    left.ends(0, _end(100.0), tries=1)
    for cell in (1, 2):
        left.begins(cell, 0.0)

    assert left.left_s([1, 2], 40.0) == 60.0
    assert left.left_s([1, 2, 3, 4], 40.0) == 160.0
    assert left.left_s([1, 2, 3, 4, 5], 40.0) == 260.0


def test_the_last_cell_that_takes_longer_than_any_is_unknown(left: TimeLeft) -> None:
    left.ends(0, _end(100.0), tries=1)
    left.begins(2, 0.0)

    assert left.left_s([2], 99.0) == 1.0
    assert left.left_s([2], 101.0) is None


def test_a_lost_cell_waits_again(left: TimeLeft) -> None:
    left.ends(0, _end(100.0), tries=1)
    left.begins(2, 0.0)
    left.lost(2)

    assert left.left_s([2], 90.0) == 100.0


@pytest.mark.parametrize(
    ("left_s", "text"),
    [
        (None, "time left unknown"),
        (0.4, "less than a minute left"),
        (60.0, "about 1 min left"),
        (61.0, "about 2 min left"),
    ],
)
def test_it_is_told_no_finer_than_it_is_known(left_s: float | None, text: str) -> None:
    assert told(left_s) == text
