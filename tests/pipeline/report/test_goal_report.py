"""What the report shows of a goal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.report.goal_charts import front_of, goal_front
from pipeline.report.goal_record import GoalEntry, GoalPoint
from pipeline.report.goal_texts import GOAL_COLUMNS, goal_rows
from pipeline.report.markdown import render_markdown

if TYPE_CHECKING:
    from pipeline.report.record import Report


def _point(label: str, p50_s: float, accuracy: float, predicted: float | None = None) -> GoalPoint:
    return GoalPoint(
        label=label,
        p50_s=p50_s,
        accuracy=accuracy,
        params=1_000_000,
        predicted={} if predicted is None else {"latency": predicted},
        found={"latency": p50_s / 4e-3},
        recovered=label == "shipped",
    )


@pytest.fixture
def with_goal(report: Report) -> Report:
    points = (
        _point("unpruned", 4e-3, 0.9),
        _point("fewest channels", 1e-3, 0.1),
        _point("plan 1", 2.2e-3, 0.3, predicted=0.5),
        _point("shipped", 2e-3, 0.89),
    )
    goal = GoalEntry(
        asked={"latency": "0.5x"},
        relative=("latency",),
        met=True,
        sentence="the goal is met: latency 0.50x of at most 0.5x",
        found={"latency": 0.5},
        limit_s=2e-3,
        precision="int8",
        points=points,
    )
    return report.model_copy(update={"goal": goal})


def test_the_front_holds_what_nothing_beats_in_both(with_goal: Report) -> None:
    assert with_goal.goal is not None
    assert [one.label for one in front_of(with_goal.goal.points)] == ["fewest channels", "shipped", "unpruned"]


def test_the_picture_names_its_ends_and_what_was_asked_for(with_goal: Report) -> None:
    chart = goal_front(with_goal)
    assert chart is not None
    for text in ("unpruned", "fewest channels", "shipped", "asked for"):
        assert text in chart.svg
    assert "plan 1 2.20 ms 30.00 %" in chart.words


def test_every_network_has_its_prediction_and_how_far_that_was_off(with_goal: Report) -> None:
    rows = {row[0]: dict(zip(GOAL_COLUMNS, row, strict=True)) for row in goal_rows(with_goal)}
    assert rows["plan 1"]["predicted"] == "0.50x"
    assert rows["plan 1"]["measured"] == "0.55x"
    assert rows["plan 1"]["off by"] == "-9.1 %"
    assert rows["shipped"]["predicted"] == "-"


def test_the_goal_stands_first_among_what_is_read_at_a_glance(with_goal: Report) -> None:
    text = render_markdown(with_goal)
    assert text.index("the goal is met") < text.index("## What every stage")
    assert "## What it may cost" in text


def test_without_a_goal_nothing_is_shown(report: Report) -> None:
    assert (goal_front(report), goal_rows(report)) == (None, [])
    assert "What it may cost" not in render_markdown(report)
