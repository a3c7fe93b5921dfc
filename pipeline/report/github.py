"""What GitHub Actions shows: a step summary and annotations, within its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.report.comparison import Comparison, Verdict
from pipeline.report.gate_texts import gate_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ANNOTATIONS", "SUMMARY_BYTES", "step_summary", "workflow_commands"]

SUMMARY_BYTES = 1 << 20
"""A step summary beyond it is refused as a whole."""
ANNOTATIONS = 10
"""So many of each kind a step; further ones are dropped without a word."""


def step_summary(markdown: str) -> str:
    """The report's Markdown, cut at a line's end and saying so when it is larger than a summary may be."""
    if len(markdown.encode()) <= SUMMARY_BYTES:
        return markdown
    notice = "\n\n(cut: the whole report is in report.md)\n"
    room = markdown.encode()[: SUMMARY_BYTES - len(notice.encode())].decode(errors="ignore")
    return room.rpartition("\n")[0] + notice


def workflow_commands(found: Mapping[str, Sequence[Comparison]], *, absent: Sequence[str] = ()) -> list[str]:
    """Workflow commands: an error for every metric that got worse, a warning for every one that cannot be told.

    Nine of each kind, the worst of each case first, and one line that counts the others, when there are more than ten.

    Args:
        found: Case to its comparisons; one without a name where there is but one.
        absent: Cases that have a baseline and no candidate.
    """
    errors = [f"::error title=edgewright::{_escaped(case)} has a baseline and no candidate" for case in absent]
    warnings = []
    for case, comparison in ((case, one) for case, comparisons in found.items() for one in comparisons):
        title = f"title=edgewright{' ' * bool(case)}{_escaped_property(case)}"
        texts = {cells[0]: ", ".join(cells[1:]) for cells in gate_rows(comparison)}
        for row in sorted(comparison.metrics, key=lambda row: -abs(row.change or 0) / (row.limit or 1)):
            if not row.gating or row.waived:
                continue
            if row.verdict is Verdict.REGRESSED:
                errors.append(f"::error {title} {row.name}::{_escaped(texts[row.name])}")
            elif row.verdict in {Verdict.INCONCLUSIVE, Verdict.UNFIT}:
                warnings.append(f"::warning {title} {row.name}::{_escaped(texts[row.name])}")
        errors += [f"::error {title}::{_escaped(name)} is missing" for name in comparison.missing]
    return [*_limited(errors, "error"), *_limited(warnings, "warning")]


def _limited(lines: list[str], kind: str) -> list[str]:
    if len(lines) <= ANNOTATIONS:
        return lines
    kept = lines[: ANNOTATIONS - 1]
    return [*kept, f"::{kind} title=edgewright::and {len(lines) - len(kept)} more, see the report"]


def _escaped(text: str) -> str:
    """As workflow commands want it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    """As they want what stands before the colons, where these and commas have a meaning too."""
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
