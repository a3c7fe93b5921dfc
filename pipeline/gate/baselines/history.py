"""The history of one case: lines that are only ever added, each sealed to the one before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.artifact import canonical_json, parse_json, sha256_of_json
from pipeline.errors import IntegrityError
from pipeline.store import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.artifact import Json

__all__ = ["Figures", "History", "HistoryLine", "append_line", "read_history"]

_LINES, _HEAD = "history.jsonl", "current.json"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figures(_Record):
    """What a bundle was measured to be when it was accepted; comparable only within one machine class."""

    machine_class: str
    latency_p50_s: float
    latency_p90_s: float | None = None
    memory_bytes: int | None = None
    size_bytes: int
    accuracy: float
    test_images: str = Field(description="identity of the images that accuracy was measured on")


class HistoryLine(_Record):
    """One acceptance.

    Attributes:
        time: When, with its time zone.
        bundle: Identity of the accepted bundle.
        reason: Why it was accepted, in the words of who accepted it.
        commit: Of the repository it was accepted in, if any.
        figures: Solo figures of that day.
        changes: Metric to its change against what was accepted before, measured side by side; empty for the first, and
            without what the machine was too noisy for.
        verdict: Of that comparison; None where there was none.
    """

    time: datetime
    bundle: str
    reason: str
    commit: str | None = None
    figures: Figures
    changes: dict[str, float] = {}
    verdict: str | None = None


@dataclass(frozen=True, slots=True)
class History:
    """All acceptances of a case, the oldest first; never empty."""

    lines: tuple[HistoryLine, ...]

    @property
    def current(self) -> HistoryLine:
        """What is accepted now."""
        return self.lines[-1]

    def drift(self, metric: str, margin: float) -> list[float]:
        """How much worse each line is than the first one, in margins: the changes up to it, added up.

        Each change was measured side by side, so the sums hold across machines and days.

        Args:
            metric: As in ``HistoryLine.changes``; accuracy's are points lost, the others' are relative.
            margin: One unit of the result.
        """
        lost = metric == "accuracy"
        steps = [line.changes.get(metric, 0.0) for line in self.lines]
        units = [step / margin if lost else math.log1p(step) / math.log1p(margin) for step in steps]
        return list(accumulate(units))


def read_history(folder: Path) -> History | None:
    """The history in a case's folder, None where nothing was ever accepted.

    Raises:
        IntegrityError: when a line or the head is not what was written: a damaged history is no empty one.
    """
    head, lines = folder / _HEAD, folder / _LINES
    if not head.exists() and not lines.exists():
        return None
    try:
        begun = not head.exists()
        told: Json = None if begun else parse_json(head.read_bytes())
        found = [parse_json(text) for text in _texts(lines)]
        previous = ""
        parsed: list[HistoryLine] = []
        heads = []
        for number, sealed in enumerate(found, 1):
            if sealed.get("previous") != previous or sha256_of_json(_unsealed(sealed)) != sealed.get("sha256"):
                raise _damaged(lines, f"line {number} is not as it was written")
            previous = sealed["sha256"]
            parsed.append(HistoryLine.model_validate(sealed["line"]))
            heads.append({"entries": number, "last": previous, "bundle": parsed[-1].bundle})
        # The line is written before the head: after a power cut between the two, the head is one line behind, and
        # there is none behind the first line.
        if begun and len(found) != 1:
            raise _damaged(head, "it is not there")
        if not begun and told not in heads[-2:]:
            raise _damaged(lines, f"{len(found)} lines, where {told['entries']} were written")
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, ValidationError) as error:
        raise _damaged(folder, str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    return History(tuple(parsed))


def append_line(folder: Path, line: HistoryLine) -> None:
    """Add a line. Whenever it is cut off, the files hold the old history or the new one."""
    history = read_history(folder)
    path = folder / _LINES
    texts = _texts(path) if history else []
    previous = parse_json(texts[-1])["sha256"] if texts else ""
    bare = {"previous": previous, "line": line.model_dump(mode="json")}
    sealed = {**bare, "sha256": sha256_of_json(bare)}
    entries = (len(history.lines) if history else 0) + 1
    write_atomically(path, "\n".join([*texts, canonical_json(sealed)]) + "\n")
    write_atomically(
        folder / _HEAD, canonical_json({"entries": entries, "last": sealed["sha256"], "bundle": line.bundle}) + "\n"
    )


def _texts(lines: Path) -> list[str]:
    """The lines as they stand in the file; a reason may hold what ``splitlines`` takes for a line's end."""
    return lines.read_bytes().decode().removesuffix("\n").split("\n")


def _unsealed(sealed: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in sealed.items() if key != "sha256"}


def _damaged(where: Path, what: str) -> IntegrityError:
    return IntegrityError(
        "the history of a baseline is damaged",
        where=str(where),
        got=what,
        fix="restore it from version control; to start anew, remove the case's folder and accept again",
    )
