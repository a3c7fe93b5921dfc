"""``python -m benchmarks.lost_connections``: a deploy loses the connection to its device at any moment, thirty times.

A tiny job is deployed on a device behind a real SSH server on the loopback, by the command that a user types. At a
seeded moment the process of the connection is killed or stopped. Then nothing of ours may be running on the device
after five seconds, the command ends well or with one sentence, and typed again it makes the bundle that the undisturbed
run made. ``--share 0.1`` makes a tenth of the losses; exit code 1 when anything went otherwise.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.loopback import NoServerError, loopback, running_from
from benchmarks.reliability.outcome import Outcome
from benchmarks.reliability.tiny_job import TinyJob, make_tiny_job

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from benchmarks.reliability.tiny_job import Ended

__all__ = ["LostConnections", "main"]

LOSSES = 30
_GONE_S = 5.0
_LOOK_S = 0.05
_PROMISE = (
    "A deploy that loses its device at any moment leaves nothing running there, and makes the same bundle in the end"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LostConnections:
    """The job and the device that it loses.

    Attributes:
        job: The tiny job, in whose folder commands are typed.
        under: Starts each command so that it finds the device.
    """

    job: TinyJob
    under: tuple[str, ...]

    @classmethod
    def with_device(cls, folder: Path, address: str, ssh: Path) -> LostConnections:
        """The job in a folder, and an entry for the device.

        Args:
            folder: Empty.
            address: Of the device.
            ssh: Folder with the client that reaches it.
        """
        job = make_tiny_job(folder)
        (folder / "there-tmp").mkdir()  # its locks are its own: what else is measured on this machine does not count
        entry = {
            "address": address,
            "python": f"TMPDIR={folder / 'there-tmp'} {sys.executable}",
            "folder": str(folder / "there"),
        }
        (folder / "config" / "edgewright").mkdir(parents=True)
        devices = folder / "config" / "edgewright" / "devices.yaml"
        devices.write_text(json.dumps({"lb": entry}), encoding="utf-8")
        path = f"PATH={ssh}:{os.environ['PATH']}"
        return cls(job=job, under=("env", path, f"XDG_CONFIG_HOME={folder / 'config'}"))

    def run(self, tries: int, *, seed: int, tell: Callable[[str], object] = bool) -> Outcome:
        """Lose the connection so often, each in a run from an empty store, and run it again.

        Args:
            tries: How often.
            seed: Of moments and blows.
            tell: Called with a line for every loss as soon as it is known what came of it.

        Raises:
            ValueError: when the undisturbed run fails.
        """
        outcome, chance = Outcome(promise=_PROMISE), random.Random(seed)
        start = time.perf_counter()
        digest = self.job.ended(self._deploy("undisturbed")).digest
        whole_s = time.perf_counter() - start
        tell(f"undisturbed: {whole_s:.0f} s")
        ended_by_it = hits = 0
        for number in range(tries):
            blow = chance.choice((signal.SIGKILL, signal.SIGSTOP))
            moment_s = round(chance.uniform(0.0, whole_s), 2)
            code, hit, failure = self._lose(f"run-{number}", blow, moment_s, digest)
            ended_by_it += code != 0
            hits += hit
            told = f"{blow.name} after {moment_s} s"
            outcome.tried(failure and f"{told}: {failure}")
            tell(f"{told}: the run ended with {code}; {failure or 'run again, it made the same bundle'}")
        outcome.seconds = time.perf_counter() - start
        outcome.notes.append(
            f"an undisturbed run took {whole_s:.0f} s; {hits} of {tries} had a connection to lose, "
            f"{ended_by_it} were ended by its loss, the "
            "others connected again or had measured everything"
        )
        return outcome

    def _lose(self, name: str, blow: signal.Signals, moment_s: float, digest: str) -> tuple[int, bool, str | None]:
        """The exit code of the run, whether it had a connection to lose, and what went otherwise than promised."""
        process = self._deploy(name)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=moment_s)
        masters, before = _masters(process.pid), set(running_from(self._code))
        for pid in masters:
            with suppress(ProcessLookupError):
                os.kill(pid, blow)
        # Those of before alone: a run that lasts connects again meanwhile.
        left = self._left_there(before, within_s=_GONE_S) if masters else []
        first = self.job.ended(process)
        left = left or self._left_there(within_s=_GONE_S)
        second = self.job.ended(self._deploy(name))
        failure = _failure(first, second, digest, left) or self._leftover()
        for folder in (name, f"{name}-out"):
            shutil.rmtree(self.job.folder / folder, ignore_errors=True)
        return first.code, bool(masters), failure

    def _deploy(self, name: str) -> subprocess.Popen[str]:
        folder = self.job.folder
        typed = ("deploy", "--recipe", "recipe.yaml", "--device", "lb", "--out", str(folder / f"{name}-out"))
        return self.job.start(folder / name, *typed, under=self.under)

    @property
    def _code(self) -> Path:
        """From where everything of ours is started on the device."""
        return self.job.folder / "there" / "code"

    def _left_there(self, of: Collection[int] | None = None, *, within_s: float) -> list[str]:
        """Processes that go on running on the device, of these or of all."""
        until = time.monotonic() + within_s
        while True:
            left = {pid: command for pid, command in running_from(self._code).items() if of is None or pid in of}
            if not left or time.monotonic() >= until:
                return [command[:200] for command in left.values()]
            time.sleep(_LOOK_S)

    def _leftover(self) -> str | None:
        """What a good run would not have left on the device."""
        there = self.job.folder / "there"
        left = [*(there / "cache").glob("*.part"), *(there / "jobs").iterdir()]
        return f"left there: {sorted(path.name for path in left)}" if left else None


def _failure(first: Ended, second: Ended, digest: str, left: Sequence[str]) -> str | None:
    """What went otherwise than promised when the connection was lost and the command typed again."""
    if left:
        return f"still running there after {_GONE_S:g} s: {left}"
    if first.code not in {0, 2} or "Traceback" in first.err:
        return f"ended with {first.code}: {first.err.strip()[-300:]}"
    if first.code == 2 and "the connection was lost" not in first.err and "cannot be reached" not in first.err:
        return f"ended without saying that the connection was lost: {first.err.strip()[-300:]}"
    if second.code != 0:
        return f"the next run ended with {second.code}: {second.err.strip()[-300:]}"
    if second.digest != digest:
        return f"another bundle, {second.digest[:12]}"
    return None


def _masters(parent: int) -> list[int]:
    """Processes of connections that a command has."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            is_child = int((path / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1]) == parent
            if is_child and b"\0-M\0" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what it came to; 1 when anything failed, 2 where there is no SSH server."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lost_connections", description=_PROMISE)
    parser.add_argument("--share", type=float, default=1.0, help=f"of {LOSSES} losses, above 0 up to 1; default: all")
    parser.add_argument("--seed", type=int, default=0, help="of moments and blows; default: 0")
    asked = parser.parse_args(arguments)
    if not 0 < asked.share <= 1:
        parser.error(f"--share is above 0 and at most 1, not {asked.share}")
    with tempfile.TemporaryDirectory(prefix="ew-lost-") as name:
        folder = Path(name)
        (folder / "server").mkdir()
        (folder / "job").mkdir()
        try:
            with loopback(folder / "server") as server:
                campaign = LostConnections.with_device(folder / "job", server.address, server.folder)
                outcome = campaign.run(math.ceil(LOSSES * asked.share), seed=asked.seed, tell=_say)
        except NoServerError as error:
            sys.stderr.write(f"{error}\n")
            return 2
    _say(f"{outcome.promise}: {outcome.tries} losses, {len(outcome.failures)} failures, {outcome.seconds:.0f} s")
    for line in (*outcome.notes, *outcome.failures):
        _say(f"  {line}")
    return int(bool(outcome.failures))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
