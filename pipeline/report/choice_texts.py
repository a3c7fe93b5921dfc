"""What the report says of choices by measuring, as plain texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.report import figures
from pipeline.report.choice_record import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.report.choice_record import Figure, MeasuredChoice, Tried

__all__ = ["choice_columns", "choice_rows", "choice_sentence"]


def _count(value: float) -> str:
    return figures.count(round(value))


def _bytes(value: float) -> str:
    return figures.megabytes(round(value))


def _ratio(value: float) -> str:
    return f"{value:.2f}x"


_WRITTEN: dict[Figure, tuple[str, Callable[[float], str]]] = {
    "channels_left": ("channels left", figures.percent),
    "noise": ("error", figures.fine_percent),
    "agreement": ("same answers", figures.percent),
    "time_ratio": ("time of float", _ratio),
    "accuracy_drop": ("accuracy against float", lambda lost: f"{figures.signed_points(-lost)} points"),
    "latency_ratio": ("latency, of unpruned", _ratio),
    "macs_ratio": ("MACs, of unpruned", _ratio),
    "params_ratio": ("params, of unpruned", _ratio),
    "size_ratio": ("size, of unpruned", _ratio),
    "memory_ratio": ("memory, of unpruned", _ratio),
    "p50_s": ("p50", figures.milliseconds),
    "size_bytes": ("size", _bytes),
    "memory_bytes": ("memory peak", _bytes),
    "macs": ("MACs", _count),
    "params": ("params", _count),
    "accuracy": ("accuracy", figures.percent),
    "loss": ("loss", lambda nats: f"{nats:.3f}"),
}
"""Figure to its heading and how it is written, in the order of the columns."""


def choice_sentence(choice: MeasuredChoice) -> str:
    """Why this one, what was asked, and what looking took."""
    asked = ", ".join(f"{key} {value}" for key, value in choice.asked.items())
    looked = f"{sum(one.label != SHIPPED for one in choice.tried)} looked at in {figures.seconds(choice.spent_s)}"
    return f"{choice.reason} ({f'asked: {asked}; ' if asked else ''}{looked})"


def choice_columns(choice: MeasuredChoice) -> tuple[str, ...]:
    """Headings of :func:`choice_rows`: a figure that nothing has is left out."""
    headings: list[str] = []
    for name in _present(choice):
        heading = _WRITTEN[name][0]
        headings += [f"{heading}: predicted", "measured", "off by"] if _predicted(choice, name) else [heading]
    return ("candidate", *headings, "outcome")


def choice_rows(choice: MeasuredChoice) -> list[tuple[str, ...]]:
    """A row for every candidate, in the order in which they were looked at."""
    rows: list[tuple[str, ...]] = []
    for one in choice.tried:
        cells: list[str] = []
        for name in _present(choice):
            written = _WRITTEN[name][1]
            found, said = one.figures.get(name), one.predicted.get(name)
            cell = "-" if found is None else written(found) + _interval(one, name)
            if _predicted(choice, name):
                off = "-" if said is None or not found else f"{100 * (said / found - 1):+.1f} %"
                cells += ["-" if said is None else written(said), cell, off]
            else:
                cells.append(cell)
        rows.append((one.label, *cells, one.outcome))
    return rows


def _interval(tried: Tried, name: Figure) -> str:
    """`` (0.86 to 0.91)`` where the figure has an interval."""
    ends = {end: value for end, value in tried.figures.items() if end in {f"{name}_low", f"{name}_high"}}
    low, high = sorted(ends.values()) if len(ends) == 2 else (0.0, 0.0)
    return f" ({low:.2f} to {high:.2f})" if low < high else ""


def _present(choice: MeasuredChoice) -> list[Figure]:
    return [name for name in _WRITTEN if any(name in one.figures or name in one.predicted for one in choice.tried)]


def _predicted(choice: MeasuredChoice, name: Figure) -> bool:
    return any(name in one.predicted for one in choice.tried)
