"""What the report says of a goal, as plain texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.report import figures

if TYPE_CHECKING:
    from pipeline.report.goal_record import GoalEntry
    from pipeline.report.record import Report

__all__ = ["GOAL_COLUMNS", "goal_rows"]

GOAL_COLUMNS = ("network", "asked for", "predicted", "measured", "off by", "p50", "params", "accuracy")
"""Accuracy before recovery, but for what is shipped."""


def goal_rows(report: Report) -> list[tuple[str, ...]]:
    """A row for every network that was measured and every quantity that has a budget."""
    goal = report.goal
    if goal is None:
        return []
    rows: list[tuple[str, ...]] = []
    for point in goal.points:
        for quantity, asked in goal.asked.items():
            predicted, found = point.predicted.get(quantity), point.found.get(quantity)
            off = "-" if predicted is None or not found else f"{100 * (predicted / found - 1):+.1f} %"
            rows.append(
                (
                    point.label,
                    f"{quantity} {asked}",
                    _amount(goal, quantity, predicted),
                    _amount(goal, quantity, found),
                    off,
                    figures.milliseconds(point.p50_s),
                    figures.count(point.params),
                    figures.percent(point.accuracy),
                )
            )
    return rows


def _amount(goal: GoalEntry, quantity: str, value: float | None) -> str:
    return "-" if value is None else figures.amount(quantity, value, relative=quantity in goal.relative)
