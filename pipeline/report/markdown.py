"""The report as Markdown, a function of the record alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.report import texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.report.record import Report

__all__ = ["render_markdown"]


def render_markdown(report: Report) -> str:
    """The verdict first, then the stages, then everything a figure depends on."""
    parts = [
        f"**{_line(report.verdict.sentence)}**",
        f"# {_line(report.model)} for {report.target}",
        _table(texts.STAGE_COLUMNS, [texts.stage_cells(row) for row in report.stages]),
    ]
    if report.teachers:
        parts += ["## What the teachers gained and cost", _table(texts.TEACHER_COLUMNS, texts.teacher_rows(report))]
    if int8 := texts.int8_text(report):
        parts += ["## INT8", _line(int8)]
    if found := texts.notes(report):
        parts += ["## Notes", _list(found)]
    parts += ["## Where it was measured", _list(texts.measured_where(report))]
    return "\n\n".join(parts) + "\n"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_line(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _list(items: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"- {label}: {_line(text)}" if label else f"- {_line(text)}" for label, text in items)


def _line(text: str) -> str:
    """Free text, on one line and without HTML."""
    return " ".join(text.split()).replace("<", "&lt;")
