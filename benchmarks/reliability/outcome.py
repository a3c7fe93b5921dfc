"""What a campaign of accidents came to, in the same words for each promise."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["NotPossibleHereError", "Outcome", "timed"]


class NotPossibleHereError(Exception):
    """What a campaign needs of the system is not there; the text says what."""


@dataclass(kw_only=True, slots=True)
class Outcome:
    """One promise, tried so often.

    Attributes:
        promise: In a sentence.
        tries: Accidents that were made.
        failures: What went otherwise than promised, one line each with what makes it happen again.
        seconds: How long all of it took.
        notes: What a reader of the figures should know, one line each.
        shown: Called whenever there is something new to see.
    """

    promise: str
    tries: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    shown: Callable[[Outcome], None] = field(default=lambda _: None, compare=False, repr=False)

    def tried(self, failure: str | None = None) -> None:
        """Count one accident, and what it did that it should not have done."""
        self.tries += 1
        if failure:
            self.failures.append(failure)
        self.shown(self)


@contextmanager
def timed(promise: str, shown: Callable[[Outcome], None]) -> Iterator[Outcome]:
    """An outcome whose seconds are those of the ``with`` block, however that ends."""
    outcome = Outcome(promise=promise, shown=shown)
    start = time.perf_counter()
    shown(outcome)
    try:
        yield outcome
    finally:
        outcome.seconds = time.perf_counter() - start
