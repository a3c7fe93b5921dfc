"""What the kernel says of this process and this machine; None where it says nothing."""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "clock_mhz",
    "cpu_pressure_us",
    "cpu_times",
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


def cpu_times() -> tuple[int, int, int] | None:
    """``(stolen by the hypervisor, at work, all)`` of the machine's cores since boot, in ticks."""
    try:
        first = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:]
    except OSError:
        return None
    ticks = [int(value) for value in first]
    user, nice, system, _idle, _waiting, *interrupts_and_stolen = ticks[:8]
    return (
        ticks[7] if len(ticks) > 7 else 0,
        user + nice + system + sum(interrupts_and_stolen[:2]),
        sum(ticks[:8]),
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
