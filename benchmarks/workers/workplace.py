"""Where an engine is timed: on this machine, or on another that is reached from here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.machine.disturbance import MachineState, StateSampler
from benchmarks.workers.launch import one_at_a_time, run_worker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from benchmarks.engine import Engine

__all__ = ["HERE", "Workplace"]


class Workplace(Protocol):
    """Runs the worker that times one engine (:mod:`benchmarks.workers.solo_worker`)."""

    def one_at_a_time(self) -> AbstractContextManager[None]:
        """Nothing else is measured there while the block lasts."""
        ...

    def timed(self, engine: Engine, request: Mapping[str, Any]) -> tuple[dict[str, Any], MachineState]:
        """What a fresh process answers, and the machine while it ran.

        Args:
            engine: With its inputs.
            request: What is asked besides the engine.

        Raises:
            EdgewrightError: when the process failed.
        """
        ...


class _Here:
    def one_at_a_time(self) -> AbstractContextManager[None]:
        return one_at_a_time()

    def timed(self, engine: Engine, request: Mapping[str, Any]) -> tuple[dict[str, Any], MachineState]:
        with StateSampler() as sampler:
            result = run_worker("benchmarks.workers.solo_worker", {**engine.to_json(), **request})
        return result, sampler.finished()


HERE: Workplace = _Here()
"""This machine."""
