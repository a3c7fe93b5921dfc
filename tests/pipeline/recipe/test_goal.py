"""What a goal may say: amounts with their units, fractions of the unpruned network, and nothing else."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.errors import UsageError
from pipeline.recipe.goal import GoalSection, goal_settings


@pytest.mark.parametrize(
    ("quantity", "text", "most", "relative"),
    [
        ("latency", "5ms", 5e-3, False),
        ("latency", "250 us", 250e-6, False),
        ("latency", "0.5x", 0.5, True),
        ("macs", "200M", 2e8, False),
        ("params", "1.5M", 1.5e6, False),
        ("params", "300000", 3e5, False),
        ("size", "2MB", 2e6, False),
        ("memory", ".25x", 0.25, True),
    ],
)
def test_amounts_are_read_with_their_units(quantity: str, text: str, most: float, relative: bool) -> None:  # noqa: FBT001
    (budget,) = GoalSection.model_validate({quantity: text}).budgets()
    assert (budget.quantity, budget.relative, budget.text) == (quantity, relative, text)
    assert budget.most == pytest.approx(most)


@pytest.mark.parametrize(
    ("quantity", "text"),
    [("latency", "5"), ("latency", "5MB"), ("latency", "1x"), ("latency", "0ms"), ("macs", "5ms"), ("size", "-2MB"),
     ("size", "2 m b"), ("memory", "")],
)  # fmt: skip
def test_an_amount_that_says_nothing_is_refused_with_what_would(quantity: str, text: str) -> None:
    with pytest.raises(ValidationError, match=f"{quantity} is an amount such as"):
        GoalSection.model_validate({quantity: text})


@pytest.mark.parametrize("quantity", ["macs", "params"])
def test_a_fraction_without_its_x_is_no_number_of_pieces(quantity: str) -> None:
    with pytest.raises(ValidationError, match=rf"0\.5 of {quantity} is less than one; .* is 0\.5x"):
        GoalSection.model_validate({quantity: "0.5"})


def test_without_amounts_there_is_nothing_to_hold() -> None:
    assert GoalSection(max_accuracy_drop=0.02).budgets() == ()


def test_a_goal_as_typed_becomes_keys_of_the_recipe() -> None:
    assert goal_settings("latency=5ms, drop=1%") == {"goal.latency": "5ms", "goal.max_accuracy_drop": "1%"}
    assert goal_settings(None) == {}
    assert GoalSection.model_validate({"max_accuracy_drop": "1%"}).max_accuracy_drop == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "latency=5ms,drop=1",
            "drop is a percentage\n  got: drop=1\n  expected: such as drop=1%: one point of accuracy",
        ),
        ("latency=5ms,latency=6ms", "latency is named twice\n  got: 5ms and 6ms\n  fix: leave one of them out"),
    ],
)
def test_what_can_be_read_in_two_ways_is_asked_about(text: str, told: str) -> None:
    with pytest.raises(UsageError) as raised:
        goal_settings(text)
    assert str(raised.value) == f"--goal: {told}"


@pytest.mark.parametrize(
    ("text", "told"), [("latency", "such as latency=5ms"), ("latncy=5ms", "latency"), ("speed=2x", "names are")]
)
def test_a_part_that_is_no_goal_is_one_error(text: str, told: str) -> None:
    with pytest.raises(UsageError, match="--goal is a list of name=value") as raised:
        goal_settings(text)
    assert told in str(raised.value.expected)
