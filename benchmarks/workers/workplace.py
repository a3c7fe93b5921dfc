"""Where engines are run and measured: on this machine, or on another that is reached from here."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.machine.disturbance import MachineState, StateSampler
from benchmarks.pairs.stopped_sides import measure_apart
from benchmarks.workers.launch import one_at_a_time, run_worker
from pipeline.environment import this_machine, versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from benchmarks.engine import Engine
    from exporters.target import Target
    from pipeline.data import Sample
    from pipeline.environment import Machine
    from pipeline.preprocess import PreprocessSpec
    from pipeline.progress import Progress
    from pipeline.session import EngineSpec, Outputs

__all__ = ["HERE", "Workplace"]


class Workplace(Protocol):
    """A machine and the workers on it: latency, memory, accuracy and which engine is faster are found out there.

    Attributes:
        name: What the user calls it; None for the machine that this runs on.
        machine: What it is; the cores are those that may be used.
        identity: In keys: figures of places with the same one may be taken for each other.
        waited_s: How long it was waited so far for the measurements of others, and for what had to be sent; seconds of
            which whoever has a budget for measuring had nothing.
    """

    @property
    def name(self) -> str | None: ...  # noqa: D102 - told above
    @property
    def machine(self) -> Machine: ...  # noqa: D102
    @property
    def identity(self) -> str: ...  # noqa: D102
    @property
    def waited_s(self) -> float: ...  # noqa: D102

    def versions(self, distributions: Sequence[str]) -> Mapping[str, str | None]:
        """What is installed there: of these distributions at least, None for one that is absent."""
        ...

    def check(self, target: Target) -> None:
        """Refuse a target where engines were to be measured and cannot be.

        Raises:
            EdgewrightError: saying what is missing, and the command that installs it.
        """
        ...

    def cannot_run(self, target: Target) -> str | None:
        """None when engines of the target can be run there; else the reason in one sentence."""
        ...

    def doubts(self) -> list[str]:
        """What makes figures that were measured there vary."""
        ...

    def one_at_a_time(self) -> AbstractContextManager[None]:
        """Nothing else is measured there while the block lasts."""
        ...

    def timed(
        self, engine: Engine, request: Mapping[str, Any], *, environment: Mapping[str, str] | None = None
    ) -> tuple[dict[str, Any], MachineState]:
        """What a fresh process answers that times one engine (:mod:`benchmarks.workers.solo_worker`).

        With it comes how the machine was while it ran.

        Args:
            engine: With its inputs.
            request: What is asked besides the engine.
            environment: Variables the process gets besides the user's.

        Raises:
            EdgewrightError: when the process failed.
        """
        ...

    def side_by_side(
        self, first: Engine, second: Engine, request: Mapping[str, Any], *, apart: bool
    ) -> tuple[dict[str, Any], MachineState]:
        """What a fresh process answers that times two engines in turn (:mod:`benchmarks.workers.pair_worker`).

        With it comes how the machine was while it ran.

        Args:
            first: Side ``a``.
            second: Side ``b``.
            request: What is asked besides the engines.
            apart: Whether each runs in a process of its own (:mod:`benchmarks.pairs.stopped_sides`).

        Raises:
            EdgewrightError: when the process failed.
        """
        ...

    def collect_outputs(
        self,
        folder: Path,
        spec: EngineSpec,
        opener: str,
        samples: Sequence[Sample],
        preprocess: PreprocessSpec,
        progress: Progress,
    ) -> list[Outputs]:
        """Run every sample through an engine, see :func:`pipeline.evaluation.collect_outputs`."""
        ...


class _Here:
    name = None

    def __init__(self) -> None:
        self.waited_s = 0.0

    @property
    def machine(self) -> Machine:
        return this_machine()

    @property
    def identity(self) -> str:
        return self.machine.machine_class

    def versions(self, distributions: Sequence[str]) -> Mapping[str, str | None]:
        return versions(distributions)

    def check(self, target: Target) -> None:
        """A target that cannot run here is built all the same, and nothing of it is measured."""

    def cannot_run(self, target: Target) -> str | None:
        return target.cannot_run()

    def doubts(self) -> list[str]:
        return []

    @contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        asked = time.monotonic()
        with one_at_a_time():
            self.waited_s += time.monotonic() - asked
            yield

    def timed(
        self, engine: Engine, request: Mapping[str, Any], *, environment: Mapping[str, str] | None = None
    ) -> tuple[dict[str, Any], MachineState]:
        with StateSampler(request["affinity"]) as sampler:
            result = run_worker(
                "benchmarks.workers.solo_worker", {**engine.to_json(), **request}, environment=environment
            )
        return result, sampler.finished()

    def side_by_side(
        self, first: Engine, second: Engine, request: Mapping[str, Any], *, apart: bool
    ) -> tuple[dict[str, Any], MachineState]:
        asked = {"a": first.to_json(), "b": second.to_json(), **request}
        with StateSampler(request["affinity"]) as sampler:
            result = measure_apart(asked) if apart else run_worker("benchmarks.workers.pair_worker", asked)
        return result, sampler.finished()

    def collect_outputs(
        self,
        folder: Path,
        spec: EngineSpec,
        opener: str,
        samples: Sequence[Sample],
        preprocess: PreprocessSpec,
        progress: Progress,
    ) -> list[Outputs]:
        from pipeline.evaluation import collect_outputs

        return collect_outputs(folder, spec, opener, samples, preprocess, progress)


HERE: Workplace = _Here()
"""This machine."""
