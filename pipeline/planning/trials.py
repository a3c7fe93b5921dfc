"""The record of a search while it is made: candidates, what was measured of them, and what became of each."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks.workers.workplace import HERE
from pipeline.report.choice_record import MeasuredChoice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.workers.workplace import Workplace

__all__ = ["Trials"]


class Trials:
    """What was tried so far, in order.

    Args:
        among: What there is to choose from.
        asked: Key of the recipe to what it says of limits and of the time for looking; None says nothing.
        place: Where they are measured.
    """

    def __init__(self, among: str, asked: Mapping[str, object], place: Workplace = HERE) -> None:
        self._among = among
        self._asked = {key: str(value) for key, value in asked.items() if value is not None}
        self._place = place
        self._start = self._own_s()
        self._tried: dict[str, dict[str, Any]] = {}

    @property
    def spent_s(self) -> float:
        """How long it has taken, seconds; without waiting for others, which says nothing of the candidates."""
        return max(0.0, self._own_s() - self._start)  # of two sums of floats

    def _own_s(self) -> float:
        return time.monotonic() - self._place.waited_s

    def note(
        self,
        label: str,
        outcome: str | None = None,
        figures: Mapping[str, float] | None = None,
        predicted: Mapping[str, float] | None = None,
    ) -> None:
        """What was found of a candidate, beside what is known of it; a later outcome takes the place of an earlier one.

        Args:
            label: Of the candidate.
            outcome: What became of it.
            figures: As they were measured; names of :data:`pipeline.report.choice_record.Figure`.
            predicted: As they were predicted.
        """
        known = self._tried.setdefault(label, {"label": label, "figures": {}, "predicted": {}, "outcome": ""})
        known["figures"] |= dict(figures or {})
        known["predicted"] |= dict(predicted or {})
        if outcome is not None:
            known["outcome"] = outcome

    def choice(self, chosen: str, reason: str) -> MeasuredChoice:
        """The record.

        Args:
            chosen: Label of what was taken.
            reason: Why.
        """
        return MeasuredChoice.model_validate(
            {
                "among": self._among,
                "asked": self._asked,
                "spent_s": self.spent_s,
                "tried": list(self._tried.values()),
                "chosen": chosen,
                "reason": reason,
            }
        )
