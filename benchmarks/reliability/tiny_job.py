"""The smallest whole job: a network of four layers, three colours under noise, one epoch; and starting it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Pixels = NDArray[Any]

__all__ = ["Ended", "Running", "TinyJob", "kill", "make_tiny_job", "write_colours", "write_images"]

_LIMIT_S = 600
_LONG_AGO_S = 1_700_000_000
_PIXELS = 16
_NETWORK = """\
from torch import nn

try:
    from activations import ReLU
except ImportError:
    from torch.nn import ReLU


def tiny(num_classes):
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, num_classes),
    )
"""
_RECIPE = """\
model: net.py:tiny
data: {source: colours}
input: {size: 16, resize: squash, mean: 0.5, std: 0.25}
baseline: {schedule: {epochs: 2, batch_size: 16}}
prune: {schedule: {epochs: 1, batch_size: 16}}
skip: [distill]
build: {precision: int8, budget_s: 0}
measure: {processes: 1, iterations: 12}
"""


def kill(process: Running) -> None:
    """Kill a run and what it started, unless it has just ended by itself, and wait for its end."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


class Running(Protocol):
    """A started command: what :class:`subprocess.Popen` has of one."""

    @property
    def pid(self) -> int:
        """Its process, which leads a session."""
        ...

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for the signal that ended it; None while it is not known to have ended."""
        ...

    def communicate(self, *, timeout: float | None = None) -> tuple[str, str]:
        """Read all it prints and wait for its end."""
        ...

    def send_signal(self, number: signal.Signals, /) -> None:
        """Send it a signal."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def digest(self) -> str:
        """The bundle's, as a deploy prints it.

        Raises:
            ValueError: when it printed none.
        """
        for line in self.out.splitlines():
            if line.startswith("  bundle sha256 "):
                return line.split()[-1]
        raise ValueError(f"no bundle: exit code {self.code}, {self.err.strip()[-300:]}")


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyJob:
    """The job's folder; commands are typed in it.

    Attributes:
        folder: Which.
        variables: Of the environment, besides those of this process.
    """

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def environment(self, cache: Path) -> dict[str, str]:
        """For a command on a store; with temporary files apart, so that nobody else's measuring is waited for."""
        own = {"EDGEWRIGHT_CACHE": str(cache), "TMPDIR": str(self.folder / "tmp")}
        return {**os.environ, **own, **self.variables}

    def start(self, cache: Path, *typed: str, under: Sequence[str] = (), quiet: bool = False) -> subprocess.Popen[str]:
        """A command on a store, in a session of its own so that none of its children can hide.

        Args:
            cache: The store.
            typed: Behind ``edgewright``.
            under: A command that starts it.
            quiet: Whether nobody reads what it prints.
        """
        told = subprocess.DEVNULL if quiet else subprocess.PIPE
        return subprocess.Popen(  # noqa: S603 - ourselves
            [*under, sys.executable, "-P", "-m", "edgewright", *typed],
            cwd=self.folder,
            env=self.environment(cache),
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
            text=True,
            start_new_session=True,
        )

    def deploy(
        self, cache: Path, out: Path, *, under: Sequence[str] = (), quiet: bool = False, recipe: str = "recipe.yaml"
    ) -> subprocess.Popen[str]:
        """Start the job; further arguments as of :meth:`start`."""
        return self.start(cache, "deploy", "--recipe", recipe, "--out", str(out), under=under, quiet=quiet)

    def ended(self, process: Running) -> Ended:
        """Wait for it.

        Raises:
            subprocess.TimeoutExpired: when it takes ten minutes.
        """
        out, err = process.communicate(timeout=_LIMIT_S)
        assert process.returncode is not None  # noqa: S101 - it has ended
        return Ended(code=process.returncode, out=out, err=err)

    def check(self, cache: Path) -> tuple[int, set[str]]:
        """The exit code of ``edgewright store check``, and what it names as damaged."""
        done = self.ended(self.start(cache, "store", "check", "--json"))
        value: dict[str, Any] = json.loads(done.out or '{"damaged": []}')
        return done.code, {one["path"] for one in value["damaged"]}

    def store_failure(self, cache: Path) -> str | None:
        """Why the store is not as a good run leaves it; None when it is."""
        code, damaged = self.check(cache)
        left = [*(cache / "work").iterdir(), *(cache / "unfinished").glob("*"), *cache.rglob(".*")]
        if code or damaged or left:
            told = sorted(str(path.relative_to(cache)) for path in left)
            return f"store check ends with {code}: damaged {sorted(damaged)}, left in the store: {told}"
        return None

    def left_temporary(self) -> str | None:
        """What lies where commands have their temporary files, none of which runs now; None where nothing does."""
        left = sorted(path.name for path in (self.folder / "tmp").glob("edgewright-*") if path.is_dir())
        return f"left among temporary files: {left}" if left else None

    def many(self, cache: Path, typed: Sequence[Sequence[str]]) -> list[Ended]:
        """Type many commands within one process, since each costs seconds alone; -1 for one that ends the process."""
        ends: list[Ended] = []
        while len(ends) < len(typed):
            done = subprocess.run(  # noqa: S603 - ourselves
                [sys.executable, "-c", _MANY],
                input=json.dumps(typed[len(ends) :]),
                cwd=self.folder,
                env={**self.environment(cache), "COLUMNS": "200"},
                capture_output=True,
                text=True,
                check=False,
                timeout=_LIMIT_S,
            )
            ends += [Ended(**json.loads(line)) for line in done.stdout.splitlines()]
            if len(ends) < len(typed):
                ends.append(
                    Ended(code=-1, out="", err=f"the process ended with {done.returncode}: {done.stderr[-300:]}")
                )
        return ends


_MANY = """
import contextlib, io, json, os, sys

told = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

from pipeline.cli import console
from pipeline.cli.main import app

commands, sys.argv = json.load(sys.stdin), ["edgewright"]
for arguments in commands:
    console.out_console.cache_clear()
    console.progress.cache_clear()
    code = 0
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            app(args=arguments)
        except SystemExit as left:
            code = left.code or 0
        except BaseException as lost:
            code, _ = -2, print("Traceback", repr(lost), file=sys.stderr)
    told.write(json.dumps({"code": code, "out": out.getvalue(), "err": err.getvalue()}) + chr(10))
"""


def make_tiny_job(folder: Path) -> TinyJob:
    """Write network, images and recipe."""
    (folder / "tmp").mkdir()
    (folder / "net.py").write_text(_NETWORK, encoding="utf-8")
    (folder / "recipe.yaml").write_text(_RECIPE, encoding="utf-8")
    write_colours(folder / "colours", train=40, val=24)
    return TinyJob(folder=folder)


def write_colours(folder: Path, *, train: int, val: int) -> None:
    """Write so many images of each of the job's three colours."""
    generator = np.random.default_rng(0)

    def picture(name: str) -> Pixels:
        pixels = generator.integers(0, 120, (_PIXELS, _PIXELS, 3))
        pixels[:, :, ("red", "green", "blue").index(name)] += 100
        return pixels

    write_images(folder, ("red", "green", "blue"), picture, train=train, val=val)


def write_images(
    folder: Path, classes: Sequence[str], picture: Callable[[str], Pixels], *, train: int, val: int
) -> None:
    """Write so many pictures of each class; ``picture`` draws one, (height, width, 3), from 0 to 255."""
    from PIL import Image

    for part, count in (("train", train), ("val", val)):
        for name in classes:
            home = folder / part / name
            home.mkdir(parents=True)
            for number in range(count):
                file = home / f"{number:03}.png"
                Image.fromarray(picture(name).astype(np.uint8)).save(file)
                os.utime(file, (_LONG_AGO_S, _LONG_AGO_S))  # what has just been written is not put into the index
