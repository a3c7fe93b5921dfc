"""The same in gives the same out wherever it is typed, and nothing that comes out says where that was."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.reliability.outcome import Outcome, timed

if TYPE_CHECKING:
    from benchmarks.reliability.campaign import Campaign
    from benchmarks.reliability.tiny_job import TinyJob

__all__ = ["SURROUNDINGS", "named", "same_digest"]

_CANARY = "canary"
_SECRETS = {"USER": "canary-user", "LOGNAME": "canary-user", "SECRET_OF_MINE": "canary-secret"}
_INPUTS = ("net.py", "recipe.yaml", "colours")


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """One thing that is otherwise than in the undisturbed run.

    Attributes:
        name: What it is.
        variables: Of the environment.
        under: A command that starts the run.
        elsewhere: Whether the run is typed in another folder.
    """

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    under: tuple[str, ...] = ()
    elsewhere: bool = False


SURROUNDINGS = (
    Surroundings(name="another working folder", elsewhere=True),
    Surroundings(name="another home", variables={"HOME": "canary-home"}),
    Surroundings(name="another time zone", variables={"TZ": "Asia/Kolkata"}),
    Surroundings(name="another locale", variables={"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"}),
    Surroundings(name="no locale", variables={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}),
    Surroundings(name="another hash seed", variables={"PYTHONHASHSEED": "1"}),
    Surroundings(name="another umask", under=("sh", "-c", 'umask 077; exec "$@"', "sh")),
    Surroundings(
        name="another host name", under=("unshare", "-ru", "sh", "-c", 'hostname canary-host && exec "$@"', "sh")
    ),
)


def same_digest(campaign: Campaign, tries: int) -> Outcome:
    """Run from an empty store in surroundings that differ by one thing, with names to look for in what comes out."""
    with timed(
        "Another working folder, home, time zone, locale, hash seed, umask or host name makes the same bundle from an "
        "empty store, and no output names the folder, home, host, user or a variable",
        campaign.shown,
    ) as outcome:
        possible = [one for one in SURROUNDINGS if _possible(one)]
        outcome.notes += [f"left out, not permitted here: {one.name}" for one in SURROUNDINGS if one not in possible]
        for number in range(tries):
            surroundings = possible[number % len(possible)]
            failure = _failure(campaign, number, surroundings)
            outcome.tried(failure and f"{surroundings.name}: {failure}")
    return outcome


def _possible(surroundings: Surroundings) -> bool:
    """Whether a command can be started so here."""
    under = surroundings.under
    return not under or subprocess.run([*under, "true"], capture_output=True, check=False).returncode == 0  # noqa: S603


def _failure(campaign: Campaign, number: int, surroundings: Surroundings) -> str | None:
    job, home = campaign.job, campaign.job.folder / f"same-{number}"
    variables = {**_SECRETS, **surroundings.variables}
    if "HOME" in variables:
        variables["HOME"] = str(job.folder / variables["HOME"])
        Path(variables["HOME"]).mkdir(exist_ok=True)
    there = replace(_elsewhere(job, home) if surroundings.elsewhere else job, variables=variables)
    out = Path("out") if surroundings.elsewhere else home.with_name(f"{home.name}-out").relative_to(job.folder)
    done = job.ended(there.deploy(home / "store", out, under=surroundings.under))
    if done.code:
        return f"ended with {done.code}: {done.err.strip()[-300:]}"
    if done.digest != campaign.digest:
        return f"another bundle, {done.digest[:12]}"
    words = (_CANARY, str(job.folder))
    found = named(there.folder / out, words)
    found += [f"what is printed names {word}" for word in words if word in f"{done.out}{done.err}"]
    for folder in (home, there.folder / out):
        shutil.rmtree(folder, ignore_errors=True)
    return ", ".join(found) or None


def named(folder: Path, words: Sequence[str]) -> list[str]:
    """Which of these words stand in the files below a folder, or in a name there."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        content = path.read_bytes() if path.is_file() else b""
        found += [f"the name {name} has {word}" for word in words if word in name]
        found += [f"{name} names {word}" for word in words if word.encode() in content]
    return found


def _elsewhere(job: TinyJob, home: Path) -> TinyJob:
    """The job in a folder of its own, whose name has a blank."""
    folder = home / "canary folder"
    folder.mkdir(parents=True)
    for name in _INPUTS:
        copy = shutil.copytree if (job.folder / name).is_dir() else shutil.copy2
        copy(job.folder / name, folder / name)
    (folder / "tmp").mkdir()
    return replace(job, folder=folder)
