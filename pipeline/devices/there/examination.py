"""What the device says of itself; the standard library is enough for it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

from pipeline.devices.there.kernel_text import kernel_text
from pipeline.environment import board_name, this_machine, usable_cores, versions
from pipeline.gpu import gpu_or_reason

__all__ = ["DISTRIBUTIONS", "celsius", "clock_driver", "examine", "governors"]

DISTRIBUTIONS = ("numpy", "pillow", "onnxruntime", "onnxruntime-gpu", "openvino")
"""What a measuring process may need there."""

_CPUS = Path("/sys/devices/system/cpu")
_ZONES = Path("/sys/class/thermal")


def examine(folder: Path) -> dict[str, Any]:
    """The machine, its state and what is installed.

    Args:
        folder: On the disk whose free space counts.
    """
    return {
        "machine": this_machine().to_json(),
        "board": board_name(),
        "bits": 64 if sys.maxsize > 1 << 32 else 32,
        "no_gpu": gpu if isinstance(gpu := gpu_or_reason(), str) else None,
        "usable": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(usable_cores())),
        "memory_available_bytes": _memory_available(),
        "governors": governors(),
        "clock_driver": clock_driver(),
        "celsius": celsius(),
        "free_bytes": shutil.disk_usage(folder).free,
        "python": platform.python_version(),
        "executable": sys.executable,
        "versions": versions(DISTRIBUTIONS),
    }


def governors() -> list[str]:
    """How the clocks of the cores are chosen, each way once; empty where the kernel does not tell."""
    found = (kernel_text(path) for path in _CPUS.glob("cpu[0-9]*/cpufreq/scaling_governor"))
    return sorted({one for one in found if one})


def clock_driver() -> str | None:
    """What carries out what a governor wants, the same for all cores; None where the kernel does not tell."""
    found = (kernel_text(path) for path in _CPUS.glob("cpu[0-9]*/cpufreq/scaling_driver"))
    return next((one for one in found if one), None)


def celsius() -> float | None:
    """The hottest thermal zone; None where there is none."""
    found = [int(text) / 1000 for path in _ZONES.glob("thermal_zone*/temp") if (text := kernel_text(path))]
    return max(found, default=None)


def _memory_available() -> int | None:
    for line in (kernel_text(Path("/proc/meminfo")) or "").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
