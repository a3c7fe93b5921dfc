"""What dead processes left goes, and nothing of what a living one writes."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from pipeline import leftovers
from pipeline.fleet import ray_crew
from pipeline.leftovers import holding, own_scratch, shared_temporary_folder, sweep, temporary_beside
from pipeline.store import Store, write_atomically
from pipeline.store_use import earliest_user, gate

_WRITES_AND_STOPS = """
import os, sys, time
from pathlib import Path
from pipeline import store
from pipeline.leftovers import holding, own_scratch, temporary_beside

def stop(*_):
    print("here", flush=True)
    time.sleep(60)

os.fsync = stop
out = Path(sys.argv[1])
with own_scratch():
    if sys.argv[2] == "file":
        store.write_atomically(out / "report.json", "half")
    elif sys.argv[2] == "record":
        store.Store(out).put_record("kind", "key", 1)
    elif sys.argv[2] == "folder":
        work = temporary_beside(out / "bundle")
        work.mkdir()
        (work / "model.onnx").touch()
        with holding(work):
            stop()
    else:
        stop()
"""


def _age(folder: Path) -> None:
    """Make everything below so old that its maker must have come to lock it."""
    for path in (*folder.rglob("*"), folder):
        os.utime(path, ns=(1, 1))


def _hidden(folder: Path) -> list[str]:
    return sorted(
        path.name for path in folder.rglob("*") if path.name.endswith(".tmp") or path.name.startswith("edgewright-")
    )


@pytest.mark.parametrize("kind", ["file", "record", "folder", "scratch"])
def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    out = tmp_path / "out"
    for folder in (out, tmp_path / "scratch"):
        folder.mkdir()
    command = [sys.executable, "-P", "-c", _WRITES_AND_STOPS, str(out), kind]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "here\n"

    def sweep_all() -> None:
        _age(tmp_path)
        write_atomically(out / "recipe.yaml", "a good run's")
        Store(out).sweep()
        with own_scratch():
            pass

    sweep_all()
    expected = 1 if kind == "scratch" else 2  # its own scratch, and what it writes
    assert len(_hidden(tmp_path)) == expected
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert len(_hidden(tmp_path)) == expected
    sweep_all()
    assert _hidden(tmp_path) == []
    assert (out / "recipe.yaml").read_text(encoding="utf-8") == "a good run's"


def test_what_is_young_or_called_otherwise_stays(tmp_path: Path) -> None:
    young = temporary_beside(tmp_path / "a")
    young.touch()
    others = [
        tmp_path / name
        for name in (
            ".photos.20261129.old", ".a.0123abcd.tmp", "a.0123abcd.tmp", ".edgewright.tmp", ".edgewright-0123abcd.tmp",
            f"edgewright-{'0' * 32}.tmp", f".edgewright-{'0' * 32}.tmp~", f".edgewright-{'0' * 32}", ".b",
        )
    ]  # fmt: skip
    for other in others:
        other.mkdir()
        os.utime(other, ns=(1, 1))
    sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([young, *others])


def test_in_the_temporary_directory_only_scratch_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead = tmp_path / "edgewright-ghjkmnpqrstv"
    others = [
        tmp_path / name
        for name in (
            "edgewright-20261129", "edgewright-202611291030", "edgewright-54f6e08cab12", "edgewright-measurements",
            "edgewright-run-results1", "edgewright-ghjkmnpqrstvw", "edgewright-run",
        )
    ]  # fmt: skip
    others.append(temporary_beside(tmp_path / "a"))
    for folder in (dead, *others):
        folder.mkdir()
        os.utime(folder, ns=(1, 1))
    with own_scratch():
        pass
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_on_a_network_folders_stay_for_a_day_since_other_hosts_do_not_see_their_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, folder = temporary_beside(tmp_path / "a"), temporary_beside(tmp_path / "b")
    file.touch()
    folder.mkdir()
    _age(tmp_path)  # as one that was put aside to be exchanged: it is as old as what it holds
    here = leftovers._file_system
    assert _kind(Path("/proc")) == 0x9FA0
    monkeypatch.setattr(leftovers, "_file_system", lambda _: 0x6969)
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [folder]
    monkeypatch.setattr(leftovers, "_file_system", here)
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []

    folder.mkdir()
    monkeypatch.setattr(leftovers, "_file_system", lambda _: 0x6969)
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 25 * 3_600 * 1_000_000_000)
    with holding(folder):
        sweep(tmp_path)
        assert list(tmp_path.iterdir()) == [folder]
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def _kind(folder: Path) -> int:
    handle = os.open(folder, os.O_RDONLY)
    try:
        return leftovers._file_system(handle)
    finally:
        os.close(handle)


def test_where_only_what_is_open_for_writing_is_locked_nothing_living_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.flock

    def for_writers_alone(handle: int, how: int) -> None:
        if how & fcntl.LOCK_EX and fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", for_writers_alone)
    file, folder = temporary_beside(tmp_path / "a"), temporary_beside(tmp_path / "b")
    file.touch()
    folder.mkdir()
    _age(tmp_path)
    with holding(file), holding(folder):
        sweep(tmp_path)
        assert sorted(tmp_path.iterdir()) == sorted([file, folder])
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [folder]  # nobody can tell whether its maker lives
    store = Store(tmp_path / "store")
    store.put_record("kind", "key", 1)
    assert store.get_record("kind", "key") == 1
    with gate(store.root, alone=True):
        assert earliest_user(store.root) is not None


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    link = temporary_beside(tmp_path / "a")
    link.symlink_to("precious")
    _age(tmp_path / "precious")
    sweep(tmp_path)
    assert (tmp_path / "precious" / "file").exists()


def test_what_is_held_in_this_process_stays(tmp_path: Path) -> None:
    held = temporary_beside(tmp_path / "a")
    held.touch()
    _age(tmp_path)
    with holding(held):
        sweep(tmp_path)
        assert held.exists()
    sweep(tmp_path)
    assert not held.exists()


def test_scratch_is_this_processes_own_and_goes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    with own_scratch():
        assert len("/" + 15 * "t" + "/" + Path(tempfile.gettempdir()).name) <= ray_crew._LONGEST_FOLDER
        inside = Path(tempfile.mkdtemp())
        assert inside.parent.parent == tmp_path
        assert os.environ["TMPDIR"] == str(inside.parent)
        assert shared_temporary_folder() == tmp_path
        compiled = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])
        assert compiled.parent == tmp_path  # what outlives a run
    assert list(tmp_path.iterdir()) == []
    assert tempfile.gettempdir() == str(tmp_path)
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ
