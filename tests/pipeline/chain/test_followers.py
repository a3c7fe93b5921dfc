"""The first of several processes leads, the others run what it runs; their transport is a line that tests hold."""

from __future__ import annotations

import copy
import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from torch import cuda, distributed

from pipeline.chain.followers import call_followers, led
from pipeline.errors import EdgewrightError
from pipeline.stage import Inputs
from pipeline.subject import Subject

if TYPE_CHECKING:
    from pipeline.stage import Workspace
    from pipeline.subject import Parts


class _Line:
    """What the first process tells the others; those who read on when it is gone learn that."""

    def __init__(self) -> None:
        self.rank = 0
        self.told: list[object] = []
        self.groups = 0

    def broadcast(self, objects: list[Any], src: int) -> None:
        assert src == 0
        if self.rank == 0:
            self.told.append(copy.deepcopy(objects[0]))
        elif self.told:
            objects[0] = self.told.pop(0)
        else:
            raise RuntimeError("Connection closed by peer")

    def begin(self, backend: str, *, timeout: object) -> None:
        assert backend == "gloo"
        assert timeout
        self.groups += 1

    def end(self) -> None:
        self.groups -= 1


@dataclass(frozen=True)
class _Stage:
    """Notes what it was run with."""

    name: str
    fails: bool = False
    runs: ClassVar[list[tuple[str, int, Path | None, tuple[str, ...]]]] = []
    folders: ClassVar[list[Path]] = []

    def run(self, inputs: Inputs, work: Workspace) -> None:
        assert work.folder.is_dir()
        self.folders.append(work.folder)
        self.runs.append((self.name, work.seed, work.kept, inputs.subject.classes))
        if self.fails:
            raise EdgewrightError("it did not work")


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> _Line:
    """Between two processes, as ``torchrun`` starts them."""
    held = _Line()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "ERROR")
    monkeypatch.setattr(cuda, "is_available", lambda: False)
    monkeypatch.setattr(distributed, "init_process_group", held.begin)
    monkeypatch.setattr(distributed, "destroy_process_group", held.end)
    monkeypatch.setattr(distributed, "get_rank", lambda: held.rank)
    monkeypatch.setattr(distributed, "broadcast_object_list", held.broadcast)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    _Stage.runs.clear()
    _Stage.folders.clear()
    return held


@pytest.fixture
def inputs(tiny_parts: Parts) -> Inputs:
    return Inputs(artifacts={}, subject=Subject(parts=tiny_parts))


def _call(name: str, inputs: Inputs, *, fails: bool = False, seed: int = 0, kept: Path | None = None) -> None:
    call_followers(_Stage(name, fails), inputs, seed=seed, kept=kept)  # type: ignore[arg-type]


def test_alone_a_process_leads_nobody(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    with led() as leading:
        assert leading
        _call("baseline", inputs)  # would fail without a process group
    assert not distributed.is_initialized()


def test_the_others_run_what_the_first_one_trains_and_nothing_else(line: _Line, inputs: Inputs, tmp_path: Path) -> None:
    with led() as leading:
        assert leading
        assert line.groups == 1
        for name in ("baseline", "answers", "calibrate", "distill", "export", "build", "downsample", "prune"):
            _call(name, inputs, seed=7, kept=tmp_path)
    assert line.groups == 0
    assert _Stage.runs == []  # the first one runs its stages itself
    line.rank = 1
    with led() as leading:
        assert not leading
    names = ("baseline", "answers", "distill", "downsample", "prune")
    assert _Stage.runs == [(name, 7, tmp_path, ("blue", "green", "red")) for name in names]
    assert not any(folder.exists() for folder in _Stage.folders)
    assert (line.told, line.groups) == ([], 0)


def test_what_a_stage_raises_is_told_by_the_first_one_alone(line: _Line, inputs: Inputs) -> None:
    with led():
        _call("baseline", inputs, fails=True)
        _call("distill", inputs)
    line.rank = 1
    with led() as leading:
        assert not leading
    assert [name for name, *_ in _Stage.runs] == ["baseline", "distill"]
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    assert all(timer.finished.is_set() for timer in timers)  # nothing ends a process that goes on


def test_an_error_of_a_follower_alone_ends_it_while_the_first_one_waits_for_it(
    line: _Line, inputs: Inputs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    codes: list[int] = []
    ended = threading.Event()
    broadcast = line.broadcast

    def waiting(objects: list[Any], src: int) -> None:
        if line.rank and not line.told:
            assert ended.wait(10), "nobody ends the process, which would wait here for a week"
        broadcast(objects, src)

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    monkeypatch.setattr("pipeline.chain.followers._SAID_WITHIN_S", 0.0)
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(distributed, "broadcast_object_list", waiting)
    _call("baseline", inputs, fails=True)
    line.rank = 1
    with pytest.raises(SystemExit), led():
        pytest.fail("a follower does not enter the block")
    assert codes == [1]
    assert capsys.readouterr().err == "error: in one of the processes that train along: it did not work\n"


def test_when_the_first_one_has_failed_the_others_end_without_a_word(
    line: _Line, inputs: Inputs, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        with led():
            _call("baseline", inputs)
            raise EdgewrightError("no such model")

    with pytest.raises(EdgewrightError, match="no such model"):
        fail()
    line.rank = 1
    with pytest.raises(SystemExit) as ended, led():
        pytest.fail("a follower does not enter the block")
    assert ended.value.code == 1
    assert [name for name, *_ in _Stage.runs] == ["baseline"]
    assert capfd.readouterr() == ("", "")
