"""The report as Markdown, a function of the record alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.plain_markdown import line
from pipeline.report import choice_texts, example_texts, gate_texts, texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.report.comparison import Comparison
    from pipeline.report.record import Report

__all__ = ["render_markdown", "table"]


def render_markdown(report: Report) -> str:
    """The verdict first, then the stages, then everything a figure depends on."""
    parts = [f"**{line(report.verdict.sentence)}**", f"# {line(report.model)} for {line(report.target)}"]
    beside = [*(("", told) for told in texts.at_a_glance(report)), *texts.beside_verdict(report)]
    if beside:
        parts.insert(1, _list(beside))
    for found in (report.gate, report.best):
        parts += _gate(found) if found is not None else []
    if report.stages:
        rows = [texts.stage_cells(row) for row in report.stages]
        parts += ["## What every stage bought and cost", table(texts.STAGE_COLUMNS, rows)]
    if rows := texts.teacher_rows(report):
        parts += ["## Ensemble or student", *([line(report.ensemble.sentence)] if report.ensemble else [])]
        parts += [table(texts.TEACHER_COLUMNS, rows), *map(line, texts.ensemble_notes(report))]
        parts += [table(texts.SEED_COLUMNS, rows) for rows in [texts.seed_rows(report)] if rows]
    if report.choices:
        parts.append("## What was chosen by measuring")
    for choice in report.choices:
        parts += [f"### {line(choice.among)}", line(choice_texts.choice_sentence(choice))]
        parts.append(table(choice_texts.choice_columns(choice), choice_texts.choice_rows(choice)))
    if rows := example_texts.example_rows(report):
        parts += [
            "## What was found on test images",
            line(example_texts.SAID_LEGEND),
            table(example_texts.EXAMPLE_COLUMNS, rows),
        ]
    if int8 := texts.int8_text(report):
        parts += ["## INT8", line(int8)]
        parts += [table(texts.DAMAGE_COLUMNS, rows) for rows in [texts.damage_rows(report)] if rows]
    if told := texts.notes(report):
        parts += ["## Notes", _list(told)]
    parts += [*_time(report), "## Where it was measured", _list(texts.measured_where(report))]
    return "\n\n".join(parts) + "\n"


def _time(report: Report) -> list[str]:
    rows = texts.phase_rows(report)
    return ["## Where the time went", table(texts.PHASE_COLUMNS, rows)] if rows else []


def _gate(found: Comparison) -> list[str]:
    parts = [f"## Against the {found.against} baseline", table(gate_texts.GATE_COLUMNS, gate_texts.gate_rows(found))]
    if found.against != "accepted":
        parts.insert(1, line(found.sentence))
    if told := gate_texts.gate_notes(found):
        parts.append(_list(("", note) for note in told))
    if different := gate_texts.differences(found):
        parts.append(table(("differs", "baseline", "candidate"), different))
    return parts


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells are free texts."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Free text that ends no cell."""
    return line(text).replace("|", "\\|")


def _list(items: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"- {line(label)}: {line(text)}" if label else f"- {line(text)}" for label, text in items)
