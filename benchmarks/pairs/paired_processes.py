"""Paired measurement of two engines over several processes, with controls that pair the baseline with itself."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from benchmarks.machine.disturbance import disturbances
from benchmarks.pairs.stopped_sides import of_two_runtimes, resting
from benchmarks.workers.workplace import HERE
from pipeline.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.engine import Engine
    from benchmarks.machine.disturbance import MachineState
    from benchmarks.workers.workplace import Workplace
    from pipeline.artifact import Json
    from pipeline.progress import Ticker

__all__ = ["Kind", "PairProcess", "PairProtocol", "disturbances_of", "measure_pairs"]

Kind = Literal["pair", "control"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PairProtocol:
    """How one process measures.

    Attributes:
        target_s: The timed pairs should fill about so much.
        min_pairs: But at least so many.
        max_pairs: And at most so many.
        max_s: The timed loop ends after so long whatever was asked, but not before a few pairs.
        warmup_s: Least warm-up of both together.
        warmup_limit: Most turns of the warm-up, once ``warmup_s`` is spent.
        affinity: Cores to stay on; empty for all.
        slow_b: Share by which the candidate is slowed down by work of its own; 0 except in a self-test.
    """

    target_s: float = 1.5
    min_pairs: int = 64
    max_pairs: int = 1500
    max_s: float = 20.0
    warmup_s: float = 0.5
    warmup_limit: int = 300
    affinity: tuple[int, ...] = ()
    slow_b: float = 0.0

    def to_json(self) -> dict[str, Json]:
        """As JSON, as the worker reads it."""
        return {**asdict(self), "affinity": list(self.affinity)}


@dataclass(frozen=True, kw_only=True, slots=True)
class PairProcess:
    """What one process found.

    Attributes:
        kind: ``pair``: baseline and candidate; ``control``: the baseline twice.
        position: In the order in which the processes ran, from 0.
        a_s: Seconds of the baseline's inferences, (pairs,).
        b_s: Seconds of the other's.
        converged: Whether both had settled in the warm-up.
        state: The machine meanwhile.
        apart: Whether both ran in processes of their own.
        instances: How often each engine was loaded; pair ``i`` is of instances ``i % instances``.
        raw: The worker's whole answer.
    """

    kind: Kind
    position: int
    a_s: tuple[float, ...]
    b_s: tuple[float, ...]
    converged: bool
    state: MachineState
    apart: bool
    raw: Mapping[str, Any]
    instances: int = 1

    def median_change(self) -> float:
        """Median of the pairs' log ratios candidate/baseline; of several instances the mean of theirs."""
        changes = np.log(np.asarray(self.b_s) / np.asarray(self.a_s))
        return fmean(float(np.median(changes[number :: self.instances])) for number in range(self.instances))

    def quantile_change(self, share: float) -> float:
        """Log ratio of the two samples' quantiles, such as 0.9."""
        changes = []
        for number in range(self.instances):
            own = (samples[number :: self.instances] for samples in (self.a_s, self.b_s))
            a, b = (np.percentile(samples, 100 * share, method="higher") for samples in own)
            changes.append(float(np.log(b / a)))
        return fmean(changes)


def disturbances_of(processes: Sequence[PairProcess]) -> tuple[str, ...]:
    """What others did while these ran, beyond what is told apart from differences; empty where nothing says so."""
    return disturbances([process.state for process in processes], [process.raw for process in processes])


def measure_pairs(  # noqa: PLR0913 - who, how, how often, told to whom, where
    baseline: Engine,
    candidate: Engine,
    protocol: PairProtocol,
    kinds: list[Kind],
    ticker: Ticker,
    *,
    seed: int,
    place: Workplace = HERE,
) -> list[PairProcess]:
    """Run a process for each of ``kinds``, in a random order; two where their threads would disturb each other.

    Args:
        baseline: Side ``a`` of every process.
        candidate: Side ``b`` of the pairs; in a control the baseline is loaded a second time instead.
        protocol: How each process measures.
        kinds: Which processes.
        ticker: Told of every process.
        seed: Of the order, and of what each process draws.
        place: Where.

    Raises:
        IntegrityError: when outputs changed while they were timed.
    """
    order = list(kinds)
    random.Random(seed).shuffle(order)
    apart = of_two_runtimes(baseline, candidate)
    if not apart:
        baseline, candidate = resting(baseline), resting(candidate)
    found = []
    with place.one_at_a_time():
        for position, kind in enumerate(order):
            other = baseline if kind == "control" else candidate
            request = {"seed": seed * 1000 + position, **protocol.to_json()}
            if kind == "control":
                request["slow_b"] = 0.0
            raw, state = place.side_by_side(baseline, other, request, apart=apart)
            found.append(_process(kind, position, raw, state, apart=apart))
            ticker.advance(status=kind)
    return found


def _process(kind: Kind, position: int, raw: Mapping[str, Any], state: MachineState, *, apart: bool) -> PairProcess:
    for side, name in (("a", "baseline"), ("b", "candidate" if kind == "pair" else "baseline")):
        if raw["mismatched"][side]:
            raise IntegrityError(
                f"the {name}'s outputs changed while it was timed",
                got=f"{raw['mismatched'][side]} checked outputs differ from the first answer to the same input",
            )
    return PairProcess(
        kind=kind,
        position=position,
        a_s=tuple(value / 1e9 for value in raw["a_ns"]),
        b_s=tuple(value / 1e9 for value in raw["b_ns"]),
        converged=all(side["converged"] for side in raw["warmup"].values()),
        state=state,
        apart=apart,
        raw=raw,
        instances=raw.get("instances", 1),
    )
