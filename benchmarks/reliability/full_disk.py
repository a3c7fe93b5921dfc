"""On a full disk a run ends with 7 and says what it needed, the earlier bundle stays, and with more room it goes on."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.reliability.killed_publishing import earlier_results, evenly, resumed, standing
from benchmarks.reliability.lanes import in_lanes
from benchmarks.reliability.outcome import NotPossibleHereError, Outcome, timed
from benchmarks.reliability.publisher import Publisher
from benchmarks.reliability.sealed import identity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.reliability.campaign import Campaign

__all__ = ["full_disk", "full_disk_publishing", "lacking_space", "refused_calls"]

_RESOURCE = 7
_SYNCED = frozenset({"write", "pwrite64", "fsync", "rename", "renameat", "renameat2"})
"""Calls besides those that make files which a full disk can refuse."""
_STEPS = 10
_PROMISE_OF_PUBLISHING = (
    "No space at a system call of publishing: exit code 7, what was needed is said, the earlier bundle stays, nothing "
    "is left lying, and the next run makes the undisturbed one"
)
_BLOCK_BYTES = 4096

_GROWS = """
import json, os, shutil, subprocess, sys
job = json.load(sys.stdin)
disk, earlier = job["disk"], job["earlier"]
mounted, ends = False, []
for size in job["sizes"]:
    how = "size=%d" % size if not mounted else "remount,size=%d" % size
    subprocess.run(["mount", "-t", "tmpfs", "-o", how, "edgewright", disk], check=True)
    if not mounted:
        mounted = True
        shutil.copytree(earlier, disk + "/out")
    done = subprocess.run(job["command"], env={**os.environ, **job["environment"]}, capture_output=True, text=True)
    verify = [sys.executable, "-I", "-S", disk + "/out/bundle/verify.py"]
    stands = subprocess.run(verify, capture_output=True, text=True).stdout
    left = [name for name in os.listdir(disk + "/out") if name.startswith(".")]
    ends.append({"size": size, "code": done.returncode, "err": done.stderr, "stands": stands, "left": left})
    if done.returncode == 0:
        break
print(json.dumps(ends))
"""


def full_disk(campaign: Campaign, tries: int) -> Outcome:
    """Run on file systems of their own, two at once, that grow until the run ends well; each size is one try."""
    with timed(
        "On a file system that is too small a run ends with 7 and says what it needed, the earlier bundle stays, and "
        "with more room the same command makes the undisturbed one",
        campaign.shown,
    ) as outcome:
        earlier_results(campaign)  # before rows ask for it at once
        _try_to_mount(campaign.job.folder / "mounted")
        in_lanes(lambda number, sizes: _grown(campaign, number, sizes), tries, _STEPS, outcome)
    return outcome


def full_disk_publishing(campaign: Campaign, tries: int) -> Outcome:
    """Let each call of publishing fail that a full disk can refuse; of too many calls evenly spread ones."""
    with timed(_PROMISE_OF_PUBLISHING, campaign.shown) as outcome, Publisher(campaign) as publisher:
        _refuse(campaign, publisher, tries, outcome)
    return outcome


def refused_calls(campaign: Campaign, publisher: Publisher, tries: int) -> Outcome:
    """The same by a publisher that has been started."""
    with timed(_PROMISE_OF_PUBLISHING, campaign.shown) as outcome:
        _refuse(campaign, publisher, tries, outcome)
    return outcome


def _refuse(campaign: Campaign, publisher: Publisher, tries: int, outcome: Outcome) -> None:
    earlier = earlier_results(campaign)
    over = Path(shutil.copytree(earlier, campaign.job.folder / "full-earlier"))
    calls = [call for call in publisher.calls(over) if call.makes or call.name in _SYNCED]
    for number, call in enumerate(evenly(calls, tries)):
        out = campaign.job.folder / f"full-{number}"
        shutil.copytree(earlier, out)
        code, err = publisher.publish(out, disturbed=f"{call.name}:error=ENOSPC:when={call.number}")
        harmless = code == 0 and identity(out / "bundle") == campaign.digest  # such as making a folder that is there
        failure = None if harmless else lacking_space(code, err)
        failure = failure or standing(campaign, out, earlier)
        if hidden := [path.name for path in out.rglob(".*")]:
            failure = failure or f"left lying: {hidden}"
        failure = failure or resumed(campaign, publisher, out)
        outcome.tried(failure and f"no space at {call.name} {call.number}: {failure}")
        shutil.rmtree(out)


def lacking_space(code: int, err: str) -> str | None:
    """What is wrong with the end of a run that lacked space."""
    said = err[err.find("error: ") :]
    if code != _RESOURCE or err.count("error: ") != 1 or "Traceback" in err:
        return f"ended with {code}: {err.strip()[-400:]!r}"
    return None if re.search(r"\n  expected: .*(\d|room)", said) else f"what was needed is not said: {said!r}"


def _grown(campaign: Campaign, row: int, tries: int) -> list[str | None]:
    """Of one file system: what went wrong at each of its sizes."""
    chance, job = campaign.chance(f"full disk {row}"), campaign.job
    disk, earlier = job.folder / f"disk-{row}", earlier_results(campaign)
    disk.mkdir()
    least = _taken(earlier) + 16 * _BLOCK_BYTES
    enough = least + 2 * (_taken(campaign.cache) + _taken(campaign.bundle.parent))
    sizes = [least]
    while sizes[-1] < enough:
        sizes.append(sizes[-1] + int(chance.uniform(0.2, 1.8) * (enough - least) / _STEPS))
    if tries < len(sizes):
        sizes = [*evenly(sizes[:-1], tries - 1), sizes[-1]]  # the last one is enough
    command = [sys.executable, "-P", "-m", "edgewright", "deploy", "--recipe", "recipe.yaml", "--out", f"{disk}/out"]
    ends = _run_there(campaign, disk, sizes, command)
    found = []
    for end in ends:
        failure = None if end["code"] == 0 else lacking_space(end["code"], end["err"])
        if end["code"] == 0 and campaign.digest not in end["stands"]:
            failure = f"made another bundle: {end['stands']!r}"
        elif not end["stands"].startswith("intact"):
            failure = "the bundle that stood there is damaged"
        elif end["left"]:
            failure = f"left lying: {end['left']}"
        found.append(failure and f"{end['size'] >> 10} KiB: {failure}")
    if ends[-1]["code"]:
        found.append(f"with {ends[-1]['size'] >> 10} KiB it still did not end well")
    return found


def _run_there(campaign: Campaign, disk: Path, sizes: Sequence[int], command: Sequence[str]) -> list[dict[str, Any]]:
    wanted = {
        "disk": str(disk),
        "earlier": str(earlier_results(campaign)),
        "sizes": sizes,
        "command": command,
        "environment": {"EDGEWRIGHT_CACHE": f"{disk}/store"},
    }
    done = subprocess.run(  # noqa: S603 - ourselves
        [str(shutil.which("unshare")), "-rm", sys.executable, "-c", _GROWS],
        input=json.dumps(wanted),
        cwd=campaign.job.folder,
        env=campaign.job.environment(disk / "store"),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ValueError(f"what grows a file system ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    ends: list[dict[str, Any]] = json.loads(done.stdout)
    return ends


def _try_to_mount(folder: Path) -> None:
    """See whether file systems can be mounted here.

    Raises:
        NotPossibleHereError: where they cannot.
    """
    unshare = shutil.which("unshare")
    if unshare is None:
        raise NotPossibleHereError("there is no unshare here")
    folder.mkdir()
    mounts = [unshare, "-rm", "mount", "-t", "tmpfs", "-o", "size=1m", "edgewright", str(folder)]
    done = subprocess.run(mounts, capture_output=True, text=True, check=False)  # noqa: S603 - ourselves
    if done.returncode:
        raise NotPossibleHereError(f"no file system can be mounted here: {done.stderr.strip()}")


def _taken(folder: Path) -> int:
    """Bytes of whole blocks of all its files and folders."""
    sizes = (path.stat().st_size if path.is_file() else 1 for path in folder.rglob("*"))
    return sum(-(-size // _BLOCK_BYTES) * _BLOCK_BYTES for size in sizes)
