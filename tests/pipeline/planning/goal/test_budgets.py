"""When a measured network holds what it may cost."""

from __future__ import annotations

import pytest

from pipeline.planning.goal.budgets import Budgets
from pipeline.recipe import GoalSection


@pytest.mark.parametrize(
    ("asked", "found", "held"),
    [
        ({"latency": "5ms"}, 5.09e-3, True),
        ({"latency": "0.5x"}, 0.511, False),
        ({"memory": "80MB"}, 81.5e6, True),
        ({"size": "2MB"}, 2_000_000, True),
        ({"size": "2MB"}, 2_000_001, False),
        ({"macs": "0.5x"}, 0.501, False),
        ({"params": "1000"}, 1001, False),
    ],
)
def test_what_is_timed_holds_within_two_percent_and_what_is_counted_exactly(
    asked: dict[str, str], found: float, *, held: bool
) -> None:
    (quantity,) = asked
    budgets = Budgets(GoalSection.model_validate(asked).budgets())
    assert budgets.missed({quantity: found}) == (None if held else quantity)
    assert budgets.outcome({quantity: found}).startswith("holds" if held else f"{quantity} ")


def test_the_one_furthest_above_is_named() -> None:
    budgets = Budgets(GoalSection.model_validate({"latency": "5ms", "size": "2MB"}).budgets())
    assert budgets.missed({"latency": 6e-3, "size": 3e6}) == "size"
    assert Budgets(()).missed({}) is None


def test_how_far_above_is_that_of_the_quantity_which_is_missed_and_one_byte_is_told() -> None:
    budgets = Budgets(GoalSection.model_validate({"latency": "5ms", "size": "2MB"}).budgets())
    assert budgets.outcome({"latency": 5.075e-3, "size": 2.02e6}) == "size 1% above"
    assert budgets.outcome({"latency": 5e-3, "size": 2_000_001}) == "size 0.000050 % above"


@pytest.mark.parametrize(
    ("asked", "needed"),
    [
        ({"latency": "5ms"}, True),
        ({"latency": "0.5x"}, False),
        ({"latency": "0.5x", "memory": "0.5x"}, True),
        ({"latency": "0.5x", "size": "2MB"}, False),
    ],
)
def test_seconds_and_memory_need_several_processes_and_fractions_have_their_own(
    asked: dict[str, str], *, needed: bool
) -> None:
    assert Budgets(GoalSection.model_validate(asked).budgets()).need_processes == needed
