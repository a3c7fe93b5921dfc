"""Nothing is sent anywhere: no telemetry, no look for updates, no download of what is there."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from benchmarks.reliability.campaign import SMALLEST
from benchmarks.reliability.further_jobs import BOXES, TAUGHT
from benchmarks.reliability.outcome import NotPossibleHereError, Outcome, timed

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.reliability.campaign import Campaign

__all__ = ["connections", "no_connection"]

_CALLS = "connect,sendto,sendmsg,sendmmsg"
_TO_THE_NETWORK = re.compile(r"\b(\w+)\(.*\bsa_family=(AF_INET6?)\b")
_COMMANDS = (
    *(("deploy", "--recipe", recipe) for recipe in (SMALLEST, TAUGHT, BOXES)),
    ("deploy", "--recipe", SMALLEST, "--target", "openvino"),
    ("doctor",),
)


def no_connection(campaign: Campaign, tries: int) -> Outcome:
    """Run commands from an empty store where there is no network, and watch what they and their children ask for."""
    job = campaign.job
    with timed(
        "Without a network everything runs whose inputs are there, and no connection is so much as tried",
        campaign.shown,
    ) as outcome:
        for needed in ("unshare", "strace"):
            if shutil.which(needed) is None:
                raise NotPossibleHereError(f"there is no {needed} here")
        probe = subprocess.run(["unshare", "-rn", "strace", "-f", "true"], capture_output=True, text=True, check=False)  # noqa: S607
        if probe.returncode:
            raise NotPossibleHereError(f"no command can be watched here: {probe.stderr.strip()[-200:]}")
        for number in range(tries):
            typed = _COMMANDS[number % len(_COMMANDS)]
            log, cache = job.folder / f"calls-{number}", job.folder / f"offline-{number}"
            out = ("--out", str(job.folder / f"offline-{number}-out")) if typed[0] == "deploy" else ()
            under = ("unshare", "-rn", "strace", "-f", "--seccomp-bpf", "-e", f"trace={_CALLS}", "-o", str(log))
            done = job.ended(job.start(cache, *typed, *out, under=under))
            failure = f"ended with {done.code}: {done.err.strip()[-300:]}" if done.code else None
            if asked := connections(log):
                failure = f"asked for {', '.join(asked)}"
            outcome.tried(failure and f"{' '.join(typed)}: {failure}")
    return outcome


def connections(log: Path) -> list[str]:
    """The calls to another machine in what strace wrote."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return sorted({f"{found[1]} {found[2]}" for line in lines if (found := _TO_THE_NETWORK.search(line))})
