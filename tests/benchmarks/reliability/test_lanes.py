"""Rows of accidents side by side come to an end, and what goes wrong in them is told."""

from __future__ import annotations

import pytest

from benchmarks.reliability.lanes import in_lanes
from benchmarks.reliability.outcome import Outcome


def test_rows_are_done_until_so_many_accidents_were_made() -> None:
    outcome = Outcome(promise="")
    in_lanes(lambda number, most: [f"row {number}"] + [None] * (most - 1), 7, 3, outcome)
    assert outcome.tries == 7
    assert sorted(outcome.failures) == ["row 0", "row 1", "row 2"]


def test_a_row_that_makes_fewer_is_made_up_for() -> None:
    outcome = Outcome(promise="")
    in_lanes(lambda number, _: [] if number == 0 else [None], 3, 1, outcome)
    assert (outcome.tries, outcome.failures) == (3, [])


def test_rows_that_never_make_one_end_as_a_failure() -> None:
    outcome = Outcome(promise="")
    in_lanes(lambda _number, _most: [], 3, 1, outcome)
    assert outcome.tries == 0
    (failure,) = outcome.failures
    assert failure.startswith("only 0 of 3 could be tried")


def test_what_a_row_raises_comes_out() -> None:
    def row(number: int, _most: int) -> list[str | None]:
        if number:
            raise ValueError("a test")
        return [None]

    with pytest.raises(ValueError, match="a test"):
        in_lanes(row, 4, 1, Outcome(promise=""))
