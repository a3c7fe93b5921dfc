"""What was found on a few test images, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.report.example_record import ExampleEntry, MarkEntry
    from pipeline.report.record import Report

__all__ = ["DRAWN_LEGEND", "EXAMPLE_COLUMNS", "SAID_LEGEND", "example_cells", "example_rows", "mark_text"]

EXAMPLE_COLUMNS = ("image", "truth", "baseline", "shipped")

_CHOSEN = (
    "Images spread over the test split, first those on which baseline and shipped found different things; of each what "
    "the bundle prints by default."
)
DRAWN_LEGEND = f"{_CHOSEN} Solid: something of that class is there (overlap of a half and more). Dashed: it is not."
SAID_LEGEND = f"{_CHOSEN} In parentheses: nothing of that class is there (overlap of a half and more)."


def example_rows(report: Report) -> list[tuple[str, ...]]:
    """An image a row, a text for each of :data:`EXAMPLE_COLUMNS`."""
    return [example_cells(example) for example in report.examples]


def example_cells(example: ExampleEntry) -> tuple[str, ...]:
    """One image."""
    return (example.image, *map(_said, (example.truth, example.baseline, example.shipped)))


def _said(marks: Sequence[MarkEntry]) -> str:
    told = [f"({mark_text(mark)})" if mark.right is False else mark_text(mark) for mark in marks]
    return ", ".join(told) or "nothing"


def mark_text(mark: MarkEntry) -> str:
    """Class, and how sure the model is."""
    return mark.label if mark.score is None else f"{mark.label} {100 * mark.score:.0f} %"
