"""How fast, and how large in memory, one engine is: several fresh processes, one after the other."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Self

from benchmarks.percentiles import percentiles
from benchmarks.process import cpu_pressure_us, cpu_times
from pipeline.errors import EdgewrightError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.artifact import Json
    from pipeline.progress import Progress
    from pipeline.session import EngineSpec

__all__ = ["FULL", "QUICK", "Profile", "SoloRecord", "measure_solo"]

SCHEMA = "edgewright.measurement/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """How much is measured.

    Attributes:
        processes: Fresh processes; the samples of all are pooled.
        iterations: Timed inferences a process.
        min_iterations: Made even when they take longer than ``max_s``.
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
        profile: How much was measured.
        noise: What disturbed: share of the time in which tasks waited for a core, share stolen by the hypervisor.
    """

    processes: tuple[Mapping[str, Any], ...]
    profile: Profile
    noise: Mapping[str, float | None]

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

    def warnings(self) -> list[str]:
        """What makes these figures doubtful."""
        notes = []
        if not all(process["warmup"]["converged"] for process in self.processes):
            notes.append("warm-up did not settle: the machine was busy")
        pressure = self.noise["cpu_pressure"]
        if pressure is not None and pressure > 0.25:
            notes.append(f"tasks waited for a core {100 * pressure:.0f} % of the time: the machine was busy")
        steal = self.noise["steal"]
        if steal is not None and steal > 0.05:
            notes.append(f"the hypervisor took {100 * steal:.0f} % of the time")
        return notes

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return {
            "schema": SCHEMA,
            "processes": [dict(process) for process in self.processes],
            "profile": asdict(self.profile),
            "noise": dict(self.noise),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SoloRecord:
        """Inverse of :meth:`to_json`.

        Raises:
            IntegrityError: when it is of another schema.
        """
        if value.get("schema") != SCHEMA:
            raise IntegrityError("not a measurement", got=str(value.get("schema")), expected=SCHEMA)
        return cls(processes=tuple(value["processes"]), profile=Profile(**value["profile"]), noise=dict(value["noise"]))


def measure_solo(  # noqa: PLR0913 - what, with what, how
    folder: Path,
    spec: EngineSpec,
    opener: str,
    inputs: Path,
    profile: Profile,
    progress: Progress,
    *,
    affinity: tuple[int, ...] = (),
) -> SoloRecord:
    """Measure an engine.

    Args:
        folder: Where its files lie.
        spec: How to open it.
        opener: ``module:function`` of the target's opener.
        inputs: Raw values of at least one input, one after the other, as ``spec.input`` wants them.
        profile: How much.
        progress: Told of every process.
        affinity: Cores to stay on; empty for all.

    Raises:
        EdgewrightError: when a worker failed.
        IntegrityError: when outputs changed while they were timed.
    """
    request = {
        "folder": str(folder),
        "spec": spec.to_json(),
        "opener": opener,
        "inputs": str(inputs),
        "affinity": list(affinity),
        **asdict(profile),
    }
    results = []
    with _one_at_a_time(), progress.track("measuring", profile.processes) as ticker, _Noise() as noise:
        for number in range(profile.processes):
            results.append(_run_worker({**request, "seed": number}))
            ticker.advance()
    wrong = sum(result["mismatched"] for result in results)
    if wrong:
        checked = sum(result["checked"] for result in results)
        raise IntegrityError(
            "the engine's outputs changed while it was timed",
            where=str(folder),
            got=f"{wrong} of {checked} checked outputs differ from the first answer to the same input",
        )
    return SoloRecord(processes=tuple(results), profile=profile, noise=noise.figures())


def _run_worker(request: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        asked, answered = Path(scratch, "request.json"), Path(scratch, "result.json")
        asked.write_text(json.dumps(request), encoding="utf-8")
        command = [sys.executable, "-P", "-m", "benchmarks.worker", str(asked), str(answered)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ourselves
        if done.returncode != 0:
            words = done.stderr.strip().splitlines()
            raise EdgewrightError(
                "the model could not be measured",
                where="a fresh process on the target's runtime",
                got=words[-1] if words else f"exit code {done.returncode}",
            )
        result: dict[str, Any] = json.loads(answered.read_text(encoding="utf-8"))
        return result


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """One measurement of this user at a time: two would measure each other."""
    path = Path(tempfile.gettempdir(), f"edgewright-measure-{os.getuid()}.lock")
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class _Noise:
    """Samples the machine's state before and after."""

    def __enter__(self) -> Self:
        self._start = time.monotonic()
        self._pressure, self._times = cpu_pressure_us(), cpu_times()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._wall_us = (time.monotonic() - self._start) * 1e6
        self._pressure_after, self._times_after = cpu_pressure_us(), cpu_times()

    def figures(self) -> dict[str, float | None]:
        """Shares of the time; None where the kernel does not tell."""
        pressure = steal = None
        if self._pressure is not None and self._pressure_after is not None:
            pressure = (self._pressure_after - self._pressure) / max(self._wall_us, 1)
        if self._times and self._times_after:
            stolen, ticks = (after - before for after, before in zip(self._times_after, self._times, strict=True))
            steal = stolen / max(ticks, 1)
        return {"cpu_pressure": pressure, "steal": steal}
