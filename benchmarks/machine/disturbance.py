"""What disturbs a measurement: sampled around every worker process, so that a run has a series of it."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

from benchmarks.machine.kernel_counters import clock_mhz, cpu_pressure_us, cpu_times

if TYPE_CHECKING:
    from pipeline.artifact import Json

__all__ = ["BUSY_PRESSURE", "BUSY_STEAL", "MachineState", "StateSampler"]

BUSY_PRESSURE, BUSY_STEAL = 0.25, 0.05
"""Shares of the time from which on figures are doubted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineState:
    """The machine over a stretch of time; None where the kernel does not tell.

    Attributes:
        pressure: Share of the time in which some task waited for a core.
        steal: Share of the time that the hypervisor took.
        load: Load average over a minute at the end.
        mhz: Mean clock of the cores at the end.
    """

    pressure: float | None
    steal: float | None
    load: float | None
    mhz: float | None

    def to_json(self) -> dict[str, Json]:
        """As JSON; ``MachineState(**state.to_json()) == state``."""
        return asdict(self)


class StateSampler:
    """Samples while its ``with`` block lasts."""

    def __enter__(self) -> Self:
        """Begin."""
        self._start = time.monotonic()
        self._pressure, self._times = cpu_pressure_us(), cpu_times()
        self.state: MachineState | None = None
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End; ``state`` is known from here on."""
        wall_us = max((time.monotonic() - self._start) * 1e6, 1.0)
        pressure, times = cpu_pressure_us(), cpu_times()
        waited = stolen = None
        if self._pressure is not None and pressure is not None:
            waited = (pressure - self._pressure) / wall_us
        if self._times and times:
            stolen_ticks, ticks = (after - before for after, before in zip(times, self._times, strict=True))
            stolen = stolen_ticks / max(ticks, 1)
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        self.state = MachineState(pressure=waited, steal=stolen, load=load, mhz=clock_mhz())

    def finished(self) -> MachineState:
        """The state over the block that has ended."""
        assert self.state is not None  # noqa: S101 - called behind the block
        return self.state
