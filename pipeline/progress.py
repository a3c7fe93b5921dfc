"""How long work tells that it is alive, without knowing whether a terminal, a pipe or nobody listens."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

__all__ = ["Progress", "SilentProgress", "Ticker"]


class Ticker(Protocol):
    """One running piece of work."""

    def advance(self, steps: int = 1, *, status: str = "") -> None:
        """``steps`` more are done; ``status`` is a short text shown beside the bar, such as ``loss 0.21``."""
        ...


class Progress(Protocol):
    """Where work reports to."""

    def track(self, description: str, total: int, *, even: bool = True) -> AbstractContextManager[Ticker]:
        """Show a bar of ``total`` steps while the ``with`` block lasts.

        Args:
            description: What is done.
            total: Steps; 0 where nobody knows.
            even: Whether they take about alike, so that those that are done say how long the others take. Where not,
                no time left is shown but what the status says.
        """
        ...

    def note(self, text: str) -> None:
        """One line the user should read, such as a fall-back that was taken."""
        ...


class _SilentTicker:
    def advance(self, steps: int = 1, *, status: str = "") -> None:
        """Say nothing."""


class SilentProgress:
    """Nobody listens: for tests and for library use."""

    def track(
        self,
        description: str,  # noqa: ARG002 - protocol
        total: int,  # noqa: ARG002
        *,
        even: bool = True,  # noqa: ARG002
    ) -> AbstractContextManager[Ticker]:
        """Show nothing."""
        return nullcontext(_SilentTicker())

    def note(self, text: str) -> None:
        """Say nothing."""
