"""What the report shows of what was chosen by measuring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.report.choice_charts import Point, choice_front, front_of
from pipeline.report.choice_record import MeasuredChoice, Tried
from pipeline.report.choice_texts import choice_columns, choice_rows, choice_sentence
from pipeline.report.goal_record import GoalEntry
from pipeline.report.html import render_html
from pipeline.report.markdown import render_markdown

if TYPE_CHECKING:
    from pipeline.report.record import Report


def _tried(label: str, p50_s: float, accuracy: float, predicted: float | None = None) -> Tried:
    return Tried(
        label=label,
        figures={"p50_s": p50_s, "accuracy": accuracy, "params": 1e6, "latency_ratio": p50_s / 4e-3},
        predicted={} if predicted is None else {"latency_ratio": predicted},
        outcome="holds",
    )


_NETWORKS = MeasuredChoice(
    among="networks in int8, before recovery",
    asked={"goal.latency": "0.5x"},
    spent_s=95.0,
    tried=(
        _tried("unpruned", 4e-3, 0.9),
        _tried("fewest channels", 1e-3, 0.1),
        _tried("plan 1", 2.2e-3, 0.3, predicted=0.5),
        _tried("shipped", 2e-3, 0.89),
    ),
    chosen="plan 1",
    reason="chosen by measurement: latency 0.55x of at most 0.5x",
)


@pytest.fixture
def with_goal(report: Report) -> Report:
    goal = GoalEntry(
        asked={"latency": "0.5x"},
        relative=("latency",),
        met=True,
        sentence="the goal is met: latency 0.50x of at most 0.5x",
        found={"latency": 0.5},
        limit_s=2e-3,
        precision="int8",
    )
    return report.model_copy(update={"goal": goal, "choices": (_NETWORKS, *report.choices)})


def test_a_fraction_is_drawn_into_the_picture_of_the_precision_that_ships_alone(with_goal: Report) -> None:
    before = _NETWORKS.model_copy(update={"among": "networks in float", "tried": _NETWORKS.tried[:3]})
    planned_anew = with_goal.model_copy(update={"choices": (before, *with_goal.choices)})
    in_time = planned_anew.goal.model_copy(update={"relative": ()}) if planned_anew.goal else None

    assert render_html(planned_anew).count("asked for</text>") == 1
    assert render_html(planned_anew.model_copy(update={"goal": in_time})).count("asked for</text>") == 2


def test_the_front_holds_what_nothing_beats_in_both() -> None:
    points = [Point(one.figures["p50_s"], one.figures["accuracy"], one.label) for one in _NETWORKS.tried]
    assert [one.label for one in front_of(points)] == ["fewest channels", "shipped", "unpruned"]


def test_the_picture_names_its_ends_and_what_was_asked_for() -> None:
    chart = choice_front(_NETWORKS, 2e-3)
    assert chart is not None
    for text in ("unpruned", "fewest channels", "shipped", "asked for"):
        assert text in chart.svg
    assert "plan 1 2.20 ms 30.00 %" in chart.words
    assert "green: shipped" in chart.svg


def test_networks_that_lie_together_are_named_together() -> None:
    close = (_tried("unpruned", 2e-3, 0.9), _tried("fewest channels", 2e-3, 0.9), _tried("plan 1", 2.01e-3, 0.9))
    chart = choice_front(_NETWORKS.model_copy(update={"tried": close}), None)
    assert chart is not None
    assert "unpruned, fewest channels" in chart.svg
    assert "green" not in chart.svg


def test_a_choice_without_latency_and_accuracy_has_no_picture(report: Report) -> None:
    assert choice_front(report.choices[0], None) is None


def test_every_network_has_its_prediction_and_how_far_that_was_off() -> None:
    columns = choice_columns(_NETWORKS)
    assert columns == (
        "candidate", "latency, of unpruned: predicted", "measured", "off by", "p50", "params", "accuracy", "outcome",
    )  # fmt: skip
    rows = {row[0]: row for row in choice_rows(_NETWORKS)}
    assert rows["plan 1"] == ("plan 1", "0.50x", "0.55x", "-9.1 %", "2.20 ms", "1.00 M", "30.00 %", "holds")
    assert rows["shipped"][1:4] == ("-", "0.50x", "-")


def test_a_choice_says_why_what_was_asked_and_how_long_it_took() -> None:
    assert choice_sentence(_NETWORKS) == (
        "chosen by measurement: latency 0.55x of at most 0.5x (asked: goal.latency 0.5x; 3 looked at in 1 min 35 s)"
    )


def test_all_choices_stand_in_one_section(with_goal: Report) -> None:
    for text in (render_markdown(with_goal), render_html(with_goal)):
        assert text.count("What was chosen by measuring") == 1
        section = text[text.index("What was chosen by measuring") :]
        assert section.index("networks in int8") < section.index("INT8 forms and floats")


def test_the_goal_stands_first_among_what_is_read_at_a_glance(with_goal: Report) -> None:
    text = render_markdown(with_goal)
    assert text.index("the goal is met") < text.index("## What every stage")


def test_without_a_choice_nothing_is_shown(report: Report) -> None:
    assert "chosen by measuring" not in render_markdown(report.model_copy(update={"choices": ()}))
