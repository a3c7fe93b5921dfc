"""With too little memory a run ends with 7, the earlier bundle stays, and with enough it goes on."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.reliability.killed_publishing import earlier_results, standing
from benchmarks.reliability.outcome import Outcome, timed

if TYPE_CHECKING:
    from benchmarks.reliability.campaign import Campaign

__all__ = ["lacking_memory", "little_memory"]

_RESOURCE = 7
_OF_THE_SYSTEM = frozenset({127, -6, -11})
"""The C library, or an extension without memory, ends the process there and then: nobody is left to say anything."""
_EVERY_S = 0.05
_LEAST = 0.3
"""Of the address space that an undisturbed run takes: with less, PyTorch's libraries are not even loaded."""


def little_memory(campaign: Campaign, tries: int) -> Outcome:
    """Run with one limit of the address space after the other, the least first, and then without one."""
    job = campaign.job
    cache, out = job.folder / "little-memory", job.folder / "little-memory-out"
    with timed(
        "With too little address space (`RLIMIT_AS`) a run ends with 7 and says what was asked for, unless a library "
        "ends it first; the earlier bundle stays, and with enough the same command makes the undisturbed one",
        campaign.shown,
    ) as outcome:
        earlier = earlier_results(campaign)
        peak = _peak_bytes(campaign)
        shutil.copytree(earlier, out)
        ended_by_system = told = 0
        for number in range(tries):
            limit = int(peak * (_LEAST + (1 - _LEAST) * number / tries))
            process = job.deploy(cache, out, under=("sh", "-c", f'ulimit -v {limit >> 10}; exec "$@"', "sh"))
            done = job.ended(process)
            by_system = done.code in _OF_THE_SYSTEM
            failure = None if done.code == 0 or by_system else lacking_memory(done.code, done.err)
            ended_by_system += by_system
            told += done.code == _RESOURCE
            failure = failure or standing(campaign, out, earlier)
            if hidden := [path.name for path in out.iterdir() if path.name.startswith(".")]:
                failure = failure or f"left lying: {hidden}"
            outcome.tried(failure and f"{limit >> 20} of {peak >> 20} MiB: {failure}")
        if not told:
            outcome.failures.append(f"none of {tries} runs had too little memory and said so")
        if ended_by_system:
            outcome.notes.append(f"{ended_by_system} of {tries} were ended by the C library or a signal")
        last = job.ended(job.deploy(cache, out))
        if last.code or last.digest != campaign.digest:
            outcome.failures.append(f"the run without a limit: {last.code}, {last.err.strip()[-300:]}")
    return outcome


def lacking_memory(code: int, err: str) -> str | None:
    """What is wrong with the end of a run that lacked memory."""
    said = err[err.find("error: ") :]
    if code != _RESOURCE or "Traceback" in err or not re.search(r"\n  got: ", said):
        return f"ended with {code}: {err.strip()[-400:]!r}"
    return None


def _peak_bytes(campaign: Campaign) -> int:
    """The address space that an undisturbed run takes at most, as the kernel counts it."""
    job, peak_kib = campaign.job, 0
    process = job.deploy(job.folder / "peak", job.folder / "peak-out", quiet=True)
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        if told := re.search(r"VmPeak:\s+(\d+) kB", status.read_text(encoding="ascii", errors="replace")):
            peak_kib = max(peak_kib, int(told[1]))
        time.sleep(_EVERY_S)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, "edgewright deploy")
    return peak_kib << 10
