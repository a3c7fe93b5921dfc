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

    def track(self, description: str, total: int) -> AbstractContextManager[Ticker]:
        """Show a bar of ``total`` steps while the ``with`` block lasts."""
        ...

    def note(self, text: str) -> None:
        """One line the user should read, such as a fall-back that was taken."""
        ...


class _SilentTicker:
    def advance(self, steps: int = 1, *, status: str = "") -> None:
        """Say nothing."""


class SilentProgress:
    """Nobody listens: for tests and for library use."""

    def track(self, description: str, total: int) -> AbstractContextManager[Ticker]:  # noqa: ARG002 - protocol
        """Show nothing."""
        return nullcontext(_SilentTicker())

    def note(self, text: str) -> None:
        """Say nothing."""
