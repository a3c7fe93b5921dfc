"""Whether a device's clocks were held back while something was timed: by heat, by a weak supply, by its firmware."""

from __future__ import annotations

import platform
import shutil
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.devices.there.kernel_text import kernel_number, kernel_text

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["ClockWatch"]

_CPUS = Path("/sys/devices/system/cpu")
_FIRMWARE = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
_ASK = "vcgencmd"
_SINCE_START = 16
"""Bits of the Raspberry Pi's answer: from 0 what is so now, from 16 the same for whether it was since the start."""
_BITS = ("its supply was too weak", "its clocks were capped", "it was throttled", "it came to its limit of temperature")
_NOW = (1 << len(_BITS)) - 1
_EVERY_S = 0.5
_LEAST_LOOKS = 4
"""Before that a governor may not have followed the load."""
_NEAR = 0.9
_TO_THE_CEILING = frozenset({"performance", "schedutil", "ondemand", "conservative"})
"""Governors that bring a core under load to its highest clock; others hold it below for as long as they are set."""


class ClockWatch:
    """Looks while its ``with`` block lasts; ``reasons`` are known from then on.

    Args:
        cores: On which something is timed; empty for all.
    """

    def __init__(self, cores: Collection[int]) -> None:
        self._cores = set(cores)
        self.reasons: list[str] = []

    def __enter__(self) -> ClockWatch:  # noqa: PYI034 - Self is not there in older Pythons
        """Begin."""
        self._over, self._seen = threading.Event(), list[float]()
        self._before, self._ceilings = _firmware(), _ceilings(self._cores)
        self._looking = threading.Thread(target=self._look, daemon=True)
        self._looking.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End."""
        self._over.set()
        self._looking.join()
        after = _firmware()
        self.reasons = _of_firmware(self._before, after)
        now = _ceilings(self._cores)
        lowered = [core for core, ceiling in now.items() if ceiling < self._ceilings.get(core, 0)]
        if lowered:
            self.reasons.append("the highest clock that the kernel allows was lowered meanwhile")
        elif len(self._seen) >= _LEAST_LOOKS and max(self._seen) < _NEAR:
            self.reasons.append(f"its clocks came to {100 * max(self._seen):.0f} % of what they may")

    def _look(self) -> None:
        while not self._over.wait(_EVERY_S):
            shares = _shares(self._cores)
            if shares:
                self._seen.append(max(shares))


def _shares(cores: Collection[int]) -> list[float]:
    """How near each core is to the clock that it may have.

    Of ARM alone: what others may have is that of one core by itself, which none reaches beside busy ones.
    """
    if not platform.machine().lower().startswith(("aarch64", "arm")):
        return []
    found = []
    for core, ceiling in _ceilings(cores).items():
        folder = _CPUS / f"cpu{core}" / "cpufreq"
        if kernel_text(folder / "scaling_governor") not in _TO_THE_CEILING:
            continue
        if now := kernel_number(folder / "scaling_cur_freq"):
            found.append(now / ceiling)
    return found


def _ceilings(cores: Collection[int]) -> dict[int, int]:
    """The highest clock of each core that the kernel allows now, which heat lowers; empty where it does not tell."""
    found = {}
    for path in _CPUS.glob("cpu[0-9]*/cpufreq/scaling_max_freq"):
        core = int(path.parent.parent.name[3:])
        if (not cores or core in cores) and (ceiling := kernel_number(path)):
            found[core] = ceiling
    return found


def _firmware() -> int:
    """What the firmware of a Raspberry Pi says of its clocks, as bits; 0 elsewhere."""
    told = kernel_number(_FIRMWARE, 16)
    if told is not None:
        return told
    command = shutil.which(_ASK)
    if command is None:
        return 0
    try:
        said = subprocess.run([command, "get_throttled"], capture_output=True, text=True, check=False, timeout=2).stdout  # noqa: S603
        return int(said.strip().rpartition("=")[2], 16)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return 0


def _of_firmware(before: int, after: int) -> list[str]:
    seen = (before | after) & _NOW | (after & ~before) >> _SINCE_START
    return [reason for bit, reason in enumerate(_BITS) if seen >> bit & 1]
