"""What the report says of a goal, as plain texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.report import figures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.recipe.goal import Budget
    from pipeline.report.goal_record import GoalEntry
    from pipeline.report.record import Report

__all__ = ["GOAL_COLUMNS", "SIZE_COLUMNS", "budgets_told", "goal_rows", "size_rows"]

GOAL_COLUMNS = ("network", "input", "asked for", "predicted", "measured", "off by", "p50", "params", "accuracy")
"""Accuracy before recovery, but for what is shipped."""

SIZE_COLUMNS = ("input", "channels left", "accuracy after a short recovery", "loss")
"""Judged on training images that the recovery was not shown."""


def budgets_told(budgets: Sequence[Budget], found: Mapping[str, float]) -> str:
    """``latency 0.47x of at most 0.5x``, for every budget.

    Args:
        budgets: What was asked for.
        found: Quantity to what there is of it; what is lacking was not measured.
    """
    return ", ".join(
        f"{b.quantity} {figures.amount(b.quantity, found[b.quantity], relative=b.relative)} of at most {b.text}"
        if b.quantity in found
        else f"{b.quantity} of at most {b.text} not measured here"
        for b in budgets
    )


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
                    "-" if point.size is None else _pixels(point.size),
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


def size_rows(report: Report) -> list[tuple[str, ...]]:
    """A row for every input size that was weighed against channels, the chosen one first."""
    return [
        (_pixels(one.size), figures.percent(one.channels_left), figures.percent(one.accuracy), f"{one.loss:.3f}")
        for one in (report.goal.sizes if report.goal else ())
    ]


def _pixels(size: tuple[int, int]) -> str:
    return "x".join(map(str, size))


def _amount(goal: GoalEntry, quantity: str, value: float | None) -> str:
    return "-" if value is None else figures.amount(quantity, value, relative=quantity in goal.relative)
