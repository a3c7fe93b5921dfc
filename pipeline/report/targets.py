"""The targets of one run beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.plain_markdown import line
from pipeline.report import figures
from pipeline.report.markdown import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.report.record import Report

__all__ = ["TARGET_COLUMNS", "render_targets", "target_rows"]

TARGET_COLUMNS = ("target", "precision", "p50", "p90", "size", "memory peak", "accuracy", "same answers as float", "")


def target_rows(reports: Sequence[Report]) -> list[tuple[str, ...]]:
    """What each target's bundle is, a text for each of :data:`TARGET_COLUMNS`; the last says why figures are absent."""
    rows: list[tuple[str, ...]] = []
    for report in reports:
        shipped = report.stages[-1]
        rows.append(
            (
                report.target,
                report.verdict.precision,
                figures.milliseconds(shipped.latency_s.p50),
                figures.milliseconds(shipped.latency_s.p90),
                figures.megabytes(shipped.size_bytes),
                figures.megabytes(shipped.memory_bytes.peak),
                figures.percent(shipped.accuracy.value),
                figures.percent(report.verdict.agreement),
                report.verdict.sentence.rpartition("; ")[2] if report.verdict.status == "unmeasured" else "",
            )
        )
    return rows


def render_targets(reports: Sequence[Report]) -> str:
    """One Markdown page: the targets in a table, each one's verdict, and where its own report is."""
    first = reports[0]
    where = f"on {line(first.machine.device)}" if first.machine.device else "on this machine"
    parts = [
        f"# {line(first.model)} on {line(first.data)}, for {len(reports)} targets",
        table(TARGET_COLUMNS, target_rows(reports)),
        "\n".join(
            f"- [{report.target}]({report.target}/report.html): {line(report.verdict.sentence)}" for report in reports
        ),
        f"Every row with figures was measured on the target's own runtime {where}; compare rows of this table only.",
    ]
    return "\n\n".join(parts) + "\n"
