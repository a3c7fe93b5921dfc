"""What disturbs a measurement: sampled around every worker process, so that a run has a series of it."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Self

from benchmarks.machine.kernel_counters import clock_mhz, cpu_pressure_us, cpu_times

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pipeline.artifact import Json

__all__ = ["BUSY_STEAL", "HOT_CELSIUS", "MachineState", "StateSampler", "disturbances", "share_of_cores", "slowed"]

_BUSY_CORE = 0.5
"""Of one core, from which on figures are doubted: a busy loop takes twice that, however many cores there are."""
_BUSY_OTHERS = 0.10
"""Of the cores' time, likewise: with fewer than six cores that is the smaller of the two."""
BUSY_STEAL = 0.05
"""Of the cores' time, from which on figures are doubted for what the hypervisor takes."""

HOT_CELSIUS = 80.0
"""From here on a Raspberry Pi lowers its clocks; boards with other limits lie near it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineState:
    """The machine over a stretch of time; None where the kernel does not tell.

    Attributes:
        pressure: Share of the time in which some task waited for a core; threads of one's own that spin are in it, so
            that it is told and decides nothing.
        others: Share of the time of the cores that were looked at that went to programs that are neither this process
            nor its children.
        steal: Share of that time that the hypervisor took.
        load: Load average over a minute at the end.
        mhz: Mean clock of the cores at the end.
        cores: How many cores were looked at.
    """

    pressure: float | None
    others: float | None
    steal: float | None
    load: float | None
    mhz: float | None
    cores: int | None = None

    @property
    def busy_from(self) -> float:
        """The share from which on what others take puts what was timed meanwhile in doubt."""
        return min(_BUSY_OTHERS, _BUSY_CORE / (self.cores or 1))

    @property
    def is_busy(self) -> bool:
        """Whether others took so much."""
        return self.others is not None and self.others > self.busy_from

    def to_json(self) -> dict[str, Json]:
        """As JSON; ``MachineState(**state.to_json()) == state``."""
        return asdict(self)


class StateSampler:
    """Samples while its ``with`` block lasts.

    What this process and its children took is none of others', wherever they took it: the kernel does not tell on which
    cores. So a worker's time before it went to these cores hides as much of others', and is never taken for theirs.

    Args:
        cores: Numbers of those on which something is timed; empty for all that this process may run on.
    """

    def __init__(self, cores: Collection[int] = ()) -> None:
        self._cores = cores

    def __enter__(self) -> Self:
        """Begin."""
        self._start, self._own_s = time.monotonic(), _own_cpu_s()
        self._pressure, self._times = cpu_pressure_us(), cpu_times(self._cores)
        self.state: MachineState | None = None
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End; ``state`` is known from here on."""
        wall_us = max((time.monotonic() - self._start) * 1e6, 1.0)
        pressure, times = cpu_pressure_us(), cpu_times(self._cores)
        waited = stolen = others = None
        if self._pressure is not None and pressure is not None:
            waited = (pressure - self._pressure) / wall_us
        if self._times and times:
            ticks = max(times.total - self._times.total, 1)
            stolen = (times.stolen - self._times.stolen) / ticks
            own_ticks = (_own_cpu_s() - self._own_s) * os.sysconf("SC_CLK_TCK")
            others = max(times.busy - self._times.busy - own_ticks, 0.0) / ticks
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        self.state = MachineState(
            pressure=waited,
            others=others,
            steal=stolen,
            load=load,
            mhz=clock_mhz(),
            cores=times.cores if times else None,
        )

    def finished(self) -> MachineState:
        """The state over the block that has ended."""
        assert self.state is not None  # noqa: S101 - called behind the block
        return self.state


def slowed(processes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why the clocks of a device may not have been its usual ones, from what it told of each process."""
    reasons = list(dict.fromkeys(reason for process in processes for reason in process.get("held_back", ())))
    told = [value for process in processes for value in process.get("celsius", ()) if value is not None]
    if told and max(told) >= HOT_CELSIUS:
        reasons.append(f"the device was {max(told):.0f} °C hot: its clocks may have been held back")
    return reasons


def disturbances(states: Sequence[MachineState], processes: Sequence[Mapping[str, Any]] = ()) -> tuple[str, ...]:
    """Why what was timed meanwhile is in doubt, for people; empty where nothing says so.

    Args:
        states: The machine while each process ran; what holds in the middle of them decides.
        processes: What each answered; of a device with what it told besides.
    """
    reasons = []
    others = [state.others for state in states if state.others is not None]
    if others and median(others) > states[0].busy_from:
        reasons.append(f"other programs took {share_of_cores(median(others))}")
    steals = [state.steal for state in states if state.steal is not None]
    if steals and median(steals) > BUSY_STEAL:
        reasons.append(f"the hypervisor took {100 * median(steals):.0f} % of the time")
    return (*reasons, *slowed(processes))


def share_of_cores(share: float) -> str:
    """``69 % of the cores' time``, and of many cores, where a core is a small share, ``0.8 %``."""
    return f"{100 * share:.{0 if share >= 0.1 else 1}f} % of the cores' time"


def _own_cpu_s() -> float:
    """Seconds on a core of this process and of its children that have ended."""
    return sum(os.times()[:4])
