"""How fast, and how large in memory, one engine is: several fresh processes, one after the other."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import chain
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.machine.disturbance import BUSY_STEAL, MachineState, share_of_cores, slowed
from benchmarks.statistics.percentiles import percentiles
from benchmarks.workers.patience import TIMED_S
from benchmarks.workers.workplace import HERE
from pipeline.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.engine import Engine
    from benchmarks.workers.workplace import Workplace
    from pipeline.artifact import Json
    from pipeline.progress import Progress

__all__ = ["FULL", "QUICK", "Profile", "SoloRecord", "measure_in_turn", "measure_solo"]

SCHEMA = "edgewright.measurement/2"

_REMEMBERED = 2.0
"""MLPerf's TEST04 allows a tenth on a quiet machine; caches of the processor explain no factor of two."""
_REMEMBERED_TINY, _TINY_NS = 4.0, 50_000
"""But they do where less than so many nanoseconds are saved: beside other work all of a tiny network is out of the
processor's caches for a new input and in them for the same one. Looking an answer up saves more than that."""
_LOOKED_AGAIN = 2
"""More processes that have to say the same, each later, before answers are taken to be remembered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """How much is measured.

    Attributes:
        processes: Fresh processes; the samples of all are pooled.
        iterations: Timed inferences a process.
        min_iterations: Made even when they take longer than ``max_s``, unless the engine is so slow that the worker's
            patience ends (:mod:`benchmarks.workers.patience`).
        max_s: The timed loop of one process ends after so long.
        warmup_s: Least warm-up.
        warmup_limit: Most inferences of the warm-up.
    """

    processes: int
    iterations: int
    min_iterations: int
    max_s: float
    warmup_s: float
    warmup_limit: int


QUICK = Profile(processes=3, iterations=240, min_iterations=64, max_s=12.0, warmup_s=0.25, warmup_limit=200)
"""For the row of a stage: seconds for small networks, and enough samples for p99 of networks below 50 ms."""

FULL = Profile(processes=10, iterations=400, min_iterations=67, max_s=10.0, warmup_s=0.5, warmup_limit=300)
"""The protocol of ``edgewright measure``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SoloRecord:
    """A measurement with its raw samples and its conditions.

    Attributes:
        processes: What each worker returned, raw.
        states: The machine while each of them ran.
        profile: How much was measured.
        affinity: Cores the workers stayed on; empty for all.
    """

    processes: tuple[Mapping[str, Any], ...]
    states: tuple[MachineState, ...]
    profile: Profile
    affinity: tuple[int, ...]

    def samples_s(self) -> list[float]:
        """All timed inferences, seconds."""
        return [sample / 1e9 for process in self.processes for sample in process["samples_ns"]]

    def latency(self) -> tuple[dict[str, float | int | None], list[str]]:
        """p50, p90, p95, p99 in seconds and n; and why some are None."""
        samples = self.samples_s()
        values, reasons = percentiles(samples)
        return {**values, "n": len(samples)}, reasons

    def memory_bytes(self) -> tuple[dict[str, int | None], list[str]]:
        """Resident after import, load and run, and the peak: medians over the processes; and why some are None."""
        found: dict[str, int | None] = {}
        for phase in ("import", "load", "run", "peak"):
            values = [process["memory_bytes"][phase] for process in self.processes]
            found[phase] = None if None in values else int(median(values))
        return found, ["memory is not told by this system"] if None in found.values() else []

    def cold_start_s(self) -> dict[str, float]:
        """Importing the runtime, loading and the first inference: medians over the processes, seconds."""
        phases = ("import", "load", "first")
        return {phase: median(process[f"{phase}_ns"] for process in self.processes) / 1e9 for phase in phases}

    def warnings(self) -> list[str]:
        """What makes these figures doubtful."""
        notes = []
        if not all(process["warmup"]["converged"] for process in self.processes):
            notes.append("warm-up did not settle: the machine was busy")
        shortest = min((process["samples_ns"] for process in self.processes), key=len)
        asked, timed = min(self.profile.min_iterations, self.profile.iterations), len(shortest)
        if timed < asked and sum(shortest) > TIMED_S / 2 * 1e9:  # else it was not for want of time
            notes.append(
                f"an inference takes {median(self.samples_s()):.2g} s: {timed} were timed in a process rather than "
                f"{asked}"
            )
        if busy := [state.others for state in self.states if state.is_busy]:
            notes.append(f"other programs took {share_of_cores(_worst(busy))}: the machine was busy")
        steal = _worst(state.steal for state in self.states)
        if steal > BUSY_STEAL:
            notes.append(f"the hypervisor took {100 * steal:.0f} % of the time")
        notes += slowed(self.processes)
        return notes

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return {
            "schema": SCHEMA,
            "processes": [dict(process) for process in self.processes],
            "states": [state.to_json() for state in self.states],
            "profile": asdict(self.profile),
            "affinity": list(self.affinity),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SoloRecord:
        """Inverse of :meth:`to_json`.

        Raises:
            IntegrityError: when it is of another schema.
        """
        if value.get("schema") != SCHEMA:
            raise IntegrityError("not a measurement", got=str(value.get("schema")), expected=SCHEMA)
        return cls(
            processes=tuple(value["processes"]),
            states=tuple(MachineState(**state) for state in value["states"]),
            profile=Profile(**value["profile"]),
            affinity=tuple(value["affinity"]),
        )


def _worst(shares: Iterable[float | None]) -> float:
    return max((share for share in shares if share is not None), default=0.0)


def measure_solo(
    engine: Engine,
    profile: Profile,
    progress: Progress,
    *,
    affinity: tuple[int, ...] = (),
    place: Workplace = HERE,
) -> SoloRecord:
    """Measure an engine, once it is its turn there.

    Args:
        engine: With its inputs.
        profile: How much.
        progress: Told of every process.
        affinity: Cores to stay on; empty for all.
        place: Where.

    Raises:
        EdgewrightError: when a worker failed.
        IntegrityError: when outputs changed while they were timed, or answers are remembered.
    """
    with place.one_at_a_time():
        return measure_in_turn(engine, profile, progress, affinity=affinity, place=place)


def measure_in_turn(
    engine: Engine,
    profile: Profile,
    progress: Progress,
    *,
    affinity: tuple[int, ...] = (),
    place: Workplace = HERE,
) -> SoloRecord:
    """The same for whoever has the turn already (:meth:`~benchmarks.workers.workplace.Workplace.one_at_a_time`)."""
    request = {"affinity": list(affinity), **asdict(profile)}

    def one(number: int) -> tuple[dict[str, Any], MachineState]:
        return place.timed(engine, {**request, "seed": number})

    results, states = [], []
    with progress.track("measuring", profile.processes) as ticker:
        for number in range(profile.processes):
            result, state = one(number)
            results.append(result)
            states.append(state)
            ticker.advance()
    record = SoloRecord(processes=tuple(results), states=tuple(states), profile=profile, affinity=affinity)
    _check_integrity(record, engine.folder, (one(profile.processes + more)[0] for more in range(_LOOKED_AGAIN)))
    return record


def _check_integrity(record: SoloRecord, folder: Path, further: Iterable[Mapping[str, Any]]) -> None:
    """See that answers did not change and were not remembered.

    Args:
        record: What was measured.
        folder: Of the engine.
        further: More processes, of which each is asked for only where all before it say that answers are remembered:
            a disturbance of the machine can say so once.

    Raises:
        IntegrityError: where they were.
    """
    wrong = sum(result["mismatched"] for result in record.processes)
    if wrong:
        checked = sum(result["checked"] for result in record.processes)
        raise IntegrityError(
            "the engine's outputs changed while it was timed",
            where=str(folder),
            got=f"{wrong} of {checked} checked outputs differ from the first answer to the same input",
        )
    ratios = []
    for processes in chain([record.processes], ((one,) for one in further)):
        ratio = _much_faster(processes)
        if ratio is None:
            return
        ratios.append(ratio)
    raise IntegrityError(
        "one input again and again is answered much faster than many: answers seem to be remembered",
        where=str(folder),
        got=f"{min(ratios):.1f}x faster",
    )


def _much_faster(processes: Sequence[Mapping[str, Any]]) -> float | None:
    """How many times faster an input is answered that was asked just before; None where that is not much.

    By the quickest of each: a busy machine makes single inferences slower, and those of a tiny network by far.
    """
    quickest = [(min(result["fresh_ns"]), max(min(result["repeated_ns"]), 1)) for result in processes]
    ratio = median(fresh / repeated for fresh, repeated in quickest)
    saved_ns = median(fresh - repeated for fresh, repeated in quickest)
    return ratio if ratio > (_REMEMBERED if saved_ns > _TINY_NS else _REMEMBERED_TINY) else None
