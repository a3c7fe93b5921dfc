"""A process that publishes a finished run as often as it is told, and strace, which disturbs it at a chosen call.

Everything is loaded, measured and drawn before: each publishing is a fork of its own that waits until strace watches
it, so that there is little in it besides the calls that publish.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from benchmarks.reliability.outcome import NotPossibleHereError

if TYPE_CHECKING:
    from benchmarks.reliability.campaign import Campaign

__all__ = ["WHOLE_RUN", "Call", "Publisher"]

_CHANGING = (
    "openat", "write", "pwrite64", "fsync", "fdatasync", "ftruncate", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat",
    "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "chmod", "fchmod", "fchmodat", "flock",
    "copy_file_range", "sendfile", "utimensat",
)  # fmt: skip
"""All by which files come to be, change, are held or go: between two of them nothing that stays changes."""

WHOLE_RUN = """
from pathlib import Path

from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.progress import SilentProgress
from pipeline.recipe import read_recipe
from pipeline.report import render
from pipeline.runner.deploy import finished
from pipeline.runner import publish as publishing
from pipeline.runner.preflight import preflight
from pipeline.store import Store, default_root

progress = SilentProgress()
store = Store(default_root())
chain = Chain(make_plan(read_recipe(Path("recipe.yaml"), {}), store, progress), store, progress, lambda outcome: None)
(one,) = finished(preflight(chain, []))

def once(module, name):
    make, kept = getattr(module, name), []
    def give(*arguments):
        kept[:] = kept or [make(*arguments)]
        return kept[0]
    setattr(module, name, give)

for name in ("render_markdown", "render_html", "render_junit"):
    once(render, name)
once(publishing, "speedup")

def run(out):
    publishing.publish(one.chain, one.target, one.made, Path(out), None)
"""
"""Defines ``run(folder)``, which publishes a run that is taken from the store."""

_BEGIN = """
import os, signal, sys
from pipeline.cli.failures import end_well

told = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
"""

_LOOP = """
run(sys.argv[1])
print("ready", file=told)
for line in sys.stdin:
    out = line.rstrip()
    # Before the child is there: strace may watch it from its first step on, and counts what it opens.
    err = os.open(f"{out}.err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.dup2(err, 2)
            signal.sigwait({signal.SIGUSR1})
            end_well(lambda: run(out), debug=False)
            code = 0
        except SystemExit as left:
            code = left.code
        finally:
            os._exit(code)
    os.close(err)
    print(child, file=told)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=told)
"""


@dataclass(frozen=True, slots=True)
class Call:
    """One of the calls of a publishing: its name, which one of that name it is, from 1, and whether it makes a file."""

    name: str
    number: int
    makes: bool


class Publisher:
    """Publishes the campaign's run, whole or disturbed; to be used as a context.

    Args:
        campaign: Whose run.
        publishes: Python that defines ``run(folder)``.
        name: Of its store and of what it publishes first; another one's beside it is another.

    Raises:
        NotPossibleHereError: when there is no strace that may watch processes.
    """

    def __init__(self, campaign: Campaign, publishes: str = WHOLE_RUN, name: str = "published") -> None:
        if shutil.which("strace") is None:
            raise NotPossibleHereError("there is no strace here")
        self._campaign, self._script = campaign, _BEGIN + publishes + _LOOP
        self.cache = campaign.copy(name)
        self.out = campaign.job.folder / f"{name}-out"
        self._watched = False

    def __enter__(self) -> Self:
        job = self._campaign.job
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-P", "-c", self._script, str(self.out)],
            cwd=job.folder,
            env=job.environment(self.cache),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._answer() != "ready":
            raise ValueError("the finished run cannot be published")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        for folder in (self.cache, self.out):
            shutil.rmtree(folder, ignore_errors=True)

    def calls(self, out: Path) -> list[Call]:
        """Those of an undisturbed publishing into a folder, which is there or not, in their order."""
        log = self._campaign.job.folder / "calls"
        self.publish(out, options=("-o", str(log)))
        counted: dict[str, int] = {}
        found = []
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            if called := re.match(r"(\w+)\(", line):
                name = called[1]
                counted[name] = counted.get(name, 0) + 1
                makes = name in {"mkdir", "mkdirat"} or "O_CREAT" in line
                if makes or name != "openat":  # opening what is there changes nothing
                    found.append(Call(name, counted[name], makes))
        return found

    def publish(self, out: Path, *, disturbed: str = "", options: tuple[str, ...] = ()) -> tuple[int, str]:
        """Exit code, negative for a signal, and what was written to standard error.

        Args:
            out: Folder of the results.
            disturbed: What strace injects, such as ``fsync:signal=SIGKILL:when=2``.
            options: Of strace, besides.
        """
        child = self._asked(out)
        inject = ("-e", f"inject={disturbed}") if disturbed else ()
        watched = disturbed.partition(":")[0] or ",".join(f"?{name}" for name in _CHANGING)
        command = ["strace", "-p", str(child), "-e", f"trace={watched}", *inject, *(options or ("-o", os.devnull))]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: S603 - ours
        assert tracer.stderr is not None  # noqa: S101 - a pipe was asked for
        first = tracer.stderr.readline()
        os.kill(child, signal.SIGUSR1)
        code = int(self._answer())
        tracer.communicate()
        if "attached" not in first:
            error = ValueError if self._watched else NotPossibleHereError
            raise error(f"strace may not watch a process here: {first.strip()}")
        self._watched = True
        return code, Path(f"{out}.err").read_text(encoding="utf-8")

    def again(self, out: Path) -> tuple[int, str]:
        """The same undisturbed and unwatched."""
        child = self._asked(out)
        os.kill(child, signal.SIGUSR1)
        return int(self._answer()), Path(f"{out}.err").read_text(encoding="utf-8")

    def _asked(self, out: Path) -> int:
        told: IO[str] | None = self._process.stdin
        assert told is not None  # noqa: S101 - a pipe was asked for
        told.write(f"{out}\n")
        told.flush()
        return int(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        line = self._process.stdout.readline().strip()
        if not line:
            raise ValueError(f"the publisher ended with {self._process.wait()}")
        return line
