"""What a comparison says, as plain texts: the same in the terminal, in Markdown and in HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.report import figures

if TYPE_CHECKING:
    from pipeline.report.comparison import Comparison, MetricRow

__all__ = ["GATE_COLUMNS", "differences", "gate_cells", "gate_notes", "gate_rows"]

GATE_COLUMNS = ("metric", "verdict", "baseline", "candidate", "change", "interval", "limit")

_POINTS = frozenset({"accuracy", "agreement"})


def gate_rows(found: Comparison) -> list[tuple[str, ...]]:
    """A row a metric."""
    return [gate_cells(row) for row in found.metrics]


def gate_cells(row: MetricRow) -> tuple[str, ...]:
    """A text for each of :data:`GATE_COLUMNS`."""
    return (
        row.name,
        _verdict(row),
        _figure(row, row.baseline),
        _figure(row, row.candidate),
        _change(row, row.change),
        _interval(row),
        _limit(row),
    )


def _verdict(row: MetricRow) -> str:
    if not row.gating:
        return "told"
    return f"{row.verdict} (waived)" if row.waived else str(row.verdict)


def _figure(row: MetricRow, value: float | None) -> str:
    if value is None:
        return "-"
    if row.unit == "s":
        return figures.milliseconds(value)
    return figures.megabytes(round(value)) if row.unit == "B" else figures.percent(value)


def _change(row: MetricRow, value: float | None) -> str:
    if value is None:
        return "-"
    if row.name in _POINTS:
        value = -value  # a drop is told as a loss of points
    text = f"{100 * value:+.2f}"
    return f"{text.replace('-0.00', '+0.00')} {'points' if row.name in _POINTS else '%'}"


def _interval(row: MetricRow) -> str:
    if row.low is None and row.high is None:
        return "counted" if row.method == "counted" else "-"
    # Accuracy is told as what was gained: its bounds change sides with their sign.
    ends = (row.high, row.low) if row.name in _POINTS else (row.low, row.high)
    return " to ".join("..." if end is None else _change(row, end) for end in ends)


def _limit(row: MetricRow) -> str:
    return f"-{figures.points(row.limit)}" if row.name in _POINTS else f"+{100 * row.limit:.3g} %"


def gate_notes(found: Comparison) -> list[str]:
    """Everything that is doubtful or waived, a sentence each."""
    told = [f"unfit: {reason}" for reason in found.unfit]
    told += [f"{name} was measured for the baseline and is missing now" for name in found.missing]
    told += [f"{row.name}: waived ({row.waived})" for row in found.metrics if row.waived]
    told += [f"{row.name}: {row.note}" for row in found.metrics if row.note]
    told += list(found.notes)
    if found.looks > 1:
        told.append(f"decided in {found.looks} looks: the first could not tell")
    return told


def differences(found: Comparison) -> list[tuple[str, str, str]]:
    """What is not the same on both sides: name, baseline's, candidate's."""
    return [(one.what, one.baseline, one.candidate) for one in found.differences]
