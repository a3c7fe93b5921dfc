"""The figures of a run, between two markers of docs/reliability.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline import __version__
from pipeline.store import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.reliability.outcome import Outcome

__all__ = ["BEGIN", "END", "publish", "rendered"]

BEGIN, END = "<!-- figures: written by make reliability -->", "<!-- end of figures -->"


def rendered(outcomes: Sequence[Outcome], *, seed: int, untried: Sequence[str] = ()) -> str:
    """A table, a row a promise, what it was made by, and which campaigns were left out."""
    rows = [f"| {one.promise} | {one.tries} | {len(one.failures)} | {one.seconds:.0f} |" for one in outcomes]
    tries, minutes = sum(one.tries for one in outcomes), sum(one.seconds for one in outcomes) / 60
    made = f"edgewright {__version__}, seed {seed}: {tries} tries in {minutes:.1f} minutes."
    if untried:
        made += f" Left out: {', '.join(sorted(untried))}."
    notes = [f"- {note}" for one in outcomes for note in one.notes]
    noted = ["", "Told besides:", "", *notes] if notes else []
    return "\n".join(["| promise | tries | failures | seconds |", "|---|---:|---:|---:|", *rows, "", made, *noted])


def publish(page: Path, table: str) -> None:
    """Put the table in the place of the one that stands between the markers.

    Raises:
        ValueError: when the page lacks a marker.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no place for the figures: {BEGIN} … {END}")
    write_atomically(page, f"{before}{BEGIN}\n{table}\n{END}{after}")
