"""The real command in a folder of its own, and one run of it that many tests look at."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

Done = subprocess.CompletedProcess[str]
Edgewright = Callable[..., Done]
TryAll = Callable[..., dict[str, dict[str, Any]]]

SCRIPT = Path(sys.executable).with_name("edgewright")

RECIPE = """\
model: net.py:tiny
data: {source: colours}
input: {size: 16, resize: squash, mean: 0.5, std: 0.25}
baseline: {schedule: {epochs: 1, batch_size: 16}}
distill: {teachers: ["net.py:tiny"]}
skip: [distill, prune]
build: {precision: int8, budget_s: 0}
measure: {processes: 1, iterations: 12}
"""

_NOT_OURS = (
    "COLUMNS",
    "LINES",
    "FORCE_COLOR",
    "NO_COLOR",
    "PYTHONWARNINGS",
    "TTY_COMPATIBLE",
    "_TYPER_FORCE_DISABLE_TERMINAL",
)
"""What would make the output depend on who runs the tests."""


_TRY_ALL = """
import contextlib, io, json, sys

from pipeline.cli import console
from pipeline.cli.main import app

libraries, sys.argv = set(sys.argv[1:]), ["edgewright"]
ends = {}
for name, arguments in json.load(sys.stdin).items():
    console.out_console.cache_clear()
    console.progress.cache_clear()
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            app(args=arguments)
        except SystemExit as left:
            code = left.code
    imported = sorted(libraries & set(sys.modules))
    ends[name] = {"code": code or 0, "out": out.getvalue(), "err": err.getvalue(), "imported": imported}
print(json.dumps(ends))
"""

_FORK_FOR_EACH = """
import gc, json, os, sys

import matplotlib.figure, pipeline.recipe, pipeline.report.record, pipeline.runner.explain
from pipeline.cli.main import main

# A lock that another thread holds in the moment of a fork stays locked in it for good.
assert len(os.listdir("/proc/self/task")) == 1, "a library started threads"
assert not {"torch", "onnxruntime", "openvino", "tensorrt"} & set(sys.modules), "a runtime was imported"
gc.collect()
gc.freeze()  # or each fork would look at all of it once more as it ends
for line in sys.stdin:
    asked = json.loads(line)
    if os.fork() == 0:
        break
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
else:
    sys.exit()
os.environ.clear()
os.environ.update(asked["environment"])
os.chdir(asked["folder"])
for number, name in enumerate((os.devnull, asked["out"], asked["err"])):
    opened = os.open(name, os.O_RDWR)
    os.dup2(opened, number)
    os.close(opened)
sys.argv = ["edgewright", *asked["arguments"]]
main()
"""
"""What every command imports is imported once; each is a process of its own none the less, and ends as one."""


_WITHIN_S = 120.0
"""Much more than any command takes that a test types, and less than a test may take."""


class _Forking:
    """The process whose forks are commands: made when it is needed first, and anew after a command that hung."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        # NumPy's OpenBLAS starts its threads as it is imported. Commands are given variables of their own.
        self._environment = {**environment, "OPENBLAS_NUM_THREADS": "1"}
        self._process: subprocess.Popen[str] | None = None

    def code_of(self, asked: Mapping[str, Any], within_s: float) -> int | None:
        """What the command ends with; None when it did not, or the process did."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _FORK_FOR_EACH],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=self._environment,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = ""
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(asked), file=self._process.stdin, flush=True)
            if select.select([self._process.stdout], [], [], within_s)[0]:  # one line is all that ever comes
                line = self._process.stdout.readline()
        if line:
            return int(line)
        self.end()
        return None

    def end(self) -> None:
        """With a command that did not end, and whatever that started."""
        if self._process is None:
            return
        process, self._process = self._process, None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(BrokenPipeError):
            process.communicate()


@dataclass(frozen=True)
class Deployed:
    """A finished run: what it printed, its results and its store."""

    done: Done
    out: Path
    cache: Path


@pytest.fixture(scope="session")
def workshop(tiny_file: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which commands are typed: a network, images and a recipe, and all that may be wrong with them."""
    folder = tmp_path_factory.mktemp("workshop")
    shutil.copy(tiny_file, folder / "net.py")
    shutil.copytree(tiny_data, folder / "colours")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    (folder / "typo.yaml").write_text("model: resnet18\ndistill:\n  temprature: 2\n", encoding="utf-8")
    (folder / "no_yaml.yaml").write_text("model: [resnet18\n", encoding="utf-8")
    (folder / "broken.py").write_text("def net(:\n    ...\n", encoding="utf-8")
    (folder / "cut.safetensors").write_bytes(bytes([255] * 20))
    (folder / "empty").mkdir()
    _copy_with(tiny_data, folder / "lacking").joinpath("val", "purple").mkdir()
    shutil.copy(folder / "lacking/val/red/000.png", folder / "lacking/val/purple/000.png")
    for name, damaged in (("damaged", ["000"]), ("ruined", ["000", "001"])):
        root = _copy_with(tiny_data, folder / name)
        for number in damaged:
            path = root / "train" / "red" / f"{number}.png"
            path.write_bytes(path.read_bytes()[:200])
    return folder


def _copy_with(data: Path, folder: Path) -> Path:
    """A few of the images: enough to be a data set."""
    for part in ("train", "val"):
        for name in ("blue", "green", "red"):
            (folder / part / name).mkdir(parents=True)
            for path in sorted((data / part / name).iterdir())[:12]:
                shutil.copy(path, folder / part / name)
    return folder


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a person who set nothing, with a home and a store of their own."""
    home = tmp_path_factory.mktemp("home")
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    return {**kept, "HOME": str(home), "EDGEWRIGHT_CACHE": str(home / "cache"), "TERM": "xterm-256color"}


@pytest.fixture(scope="session")
def script(workshop: Path, environment: dict[str, str]) -> Edgewright:
    """Runs the console script: ``script("deploy", "net.py:tiny", cache=...)``."""

    def run(*arguments: str, cwd: Path | None = None, cache: Path | None = None) -> Done:
        return subprocess.run(
            [str(SCRIPT), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=cwd or workshop,
            env=_with_cache(environment, cache),
            timeout=240,
        )

    return run


def _with_cache(environment: dict[str, str], cache: Path | None) -> dict[str, str]:
    return {**environment, "EDGEWRIGHT_CACHE": str(cache)} if cache else environment


@pytest.fixture(scope="session")
def edgewright(
    workshop: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Edgewright]:
    """Types a command as ``script`` does, without half a second of imports before it: in a fork that has them."""
    printed = tmp_path_factory.mktemp("printed")
    out, err = printed / "out", printed / "err"
    forking = _Forking(environment)

    def run(
        *arguments: str,
        cwd: Path | None = None,
        cache: Path | None = None,
        within_s: float = _WITHIN_S,
        **variables: str,
    ) -> Done:
        for file in (out, err):
            file.write_bytes(b"")
        asked = {
            "arguments": arguments,
            "folder": str(cwd or workshop),
            "environment": {**_with_cache(environment, cache), **variables},
            "out": str(out),
            "err": str(err),
        }
        code = forking.code_of(asked, within_s)
        said = [file.read_text(encoding="utf-8") for file in (out, err)]
        if code is None:
            raise subprocess.TimeoutExpired(["edgewright", *arguments], within_s, *said)
        return Done(arguments, code, *said)

    yield run
    forking.end()


@pytest.fixture(scope="session")
def deployed(script: Edgewright, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """One run of everything but the two stages that may be left out; it may be looked at, not changed."""
    root = tmp_path_factory.mktemp("deployed")
    done = script("deploy", "--recipe", "recipe.yaml", "--out", str(root / "out"), cache=root / "cache")
    assert done.returncode == 0, done.stderr
    return Deployed(done=done, out=root / "out", cache=root / "cache")


@pytest.fixture(scope="session")
def try_all() -> TryAll:
    """Types many commands within one process: each costs seconds alone."""

    def run(
        asked: Mapping[str, tuple[str, ...]], libraries: Iterable[str], folder: Path, environment: Mapping[str, str]
    ) -> dict[str, dict[str, Any]]:
        """What each command ends with, prints, and had imported by then of ``libraries``; all in one process."""
        done = subprocess.run(
            [sys.executable, "-c", _TRY_ALL, *libraries],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=True,
            cwd=folder,
            env=environment,
        )
        ends: dict[str, dict[str, Any]] = json.loads(done.stdout)
        return ends

    return run
