"""What the kernel says of this process and this machine; None where it says nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = [
    "CpuTimes",
    "clock_mhz",
    "cpu_pressure_us",
    "cpu_times",
    "cpu_times_of",
    "memory_status",
    "own_status",
    "proportional_status",
    "reset_peak",
]


def memory_status(field: str) -> int | None:
    """``VmRSS`` (resident now) or ``VmHWM`` (its peak) of this process, bytes.

    Not ``ru_maxrss``: that of a child starts at its parent's size.
    """
    value = _status_field(field)
    return None if value is None else value * 1024


def own_status() -> int:
    """How often this process lost its core to another one so far; 0 where it is not told."""
    return _status_field("nonvoluntary_ctxt_switches") or 0


def _status_field(field: str) -> int | None:
    try:
        text = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return None
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0])
    return None


def cpu_pressure_us() -> int | None:
    """Microseconds in which some task of the machine waited for a core, since boot."""
    try:
        text = Path("/proc/pressure/cpu").read_text(encoding="utf-8")
    except OSError:
        return None
    some = next((line for line in text.splitlines() if line.startswith("some")), "")
    return int(some.rpartition("total=")[2]) if "total=" in some else None


class CpuTimes(NamedTuple):
    """What some of the machine's cores did since boot, in ticks.

    Attributes:
        stolen: The hypervisor took.
        busy: At work.
        total: All of it.
        cores: Of how many cores.
    """

    stolen: int
    busy: int
    total: int
    cores: int


def cpu_times(cores: Collection[int] = ()) -> CpuTimes | None:
    """Of these cores; empty: of those that this process may run on. The machine's others are no concern of it."""
    try:
        text = Path("/proc/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    return cpu_times_of(text, set(cores) or os.sched_getaffinity(0))


def cpu_times_of(text: str, cores: Collection[int]) -> CpuTimes:
    """The same of such a text; of all cores in it where it does not tell of each of these.

    Some containers number the cores in ``/proc/stat`` anew, and not where a process asks for its own.

    Args:
        text: What ``/proc/stat`` says.
        cores: Their numbers.
    """
    lines = [line.split() for line in text.splitlines() if line.startswith("cpu") and line[3:4].isdigit()]
    told = {int(name[3:]): [int(value) for value in values[:8]] for name, *values in lines}
    chosen = [told[core] for core in cores] if set(cores) <= set(told) else list(told.values())
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = map(sum, zip(*chosen, strict=True))
    return CpuTimes(
        stolen=stolen,
        busy=user + nice + system + interrupts + soft_interrupts,
        total=sum(map(sum, chosen)),
        cores=len(chosen),
    )


def clock_mhz() -> float | None:
    """Mean clock of the cores right now, MHz."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return None
    clocks = [float(line.partition(":")[2]) for line in text.splitlines() if line.startswith("cpu MHz")]
    return sum(clocks) / len(clocks) if clocks else None


def reset_peak() -> bool:
    """Let ``VmHWM`` start again from what is resident now; whether the kernel allowed it."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    except OSError:
        return False
    return True


def proportional_status() -> int | None:
    """This process's memory with shared pages divided among their users (PSS), bytes."""
    try:
        text = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8")
    except OSError:
        return None
    line = next((line for line in text.splitlines() if line.startswith("Pss:")), None)
    return int(line.split()[1]) * 1024 if line else None
