"""Who uses a store is known as long as they live, and no longer."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from pipeline.leftovers import holding
from pipeline.store import Store
from pipeline.store_use import StoreUse, earliest_user, gate

_USES = """
import signal, sys
from pathlib import Path
from pipeline.store_use import StoreUse
use = StoreUse(Path(sys.argv[1]))
use.begin()
print("begun", flush=True)
signal.pause()
"""


def _earliest(root: Path) -> int | None:
    with gate(root, alone=True):
        return earliest_user(root)


def test_a_use_lasts_as_long_as_what_announced_it(tmp_path: Path) -> None:
    assert _earliest(tmp_path) is None
    use = StoreUse(tmp_path)
    use.begin()
    began = _earliest(tmp_path)
    assert began is not None
    StoreUse(tmp_path).begin()
    assert _earliest(tmp_path) == began
    del use
    assert _earliest(tmp_path) is None
    assert list((tmp_path / "users").iterdir()) == []


def test_another_process_is_known_until_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _USES, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        assert _earliest(tmp_path) is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert _earliest(tmp_path) is None
    assert list((tmp_path / "users").iterdir()) == []


def test_what_is_used_is_marked_as_used_now(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.touch()
    os.utime(path, (0, 0))
    use = StoreUse(tmp_path)
    use.of(path)
    began = _earliest(tmp_path)
    assert began is not None
    assert path.stat().st_mtime_ns >= began


def test_what_is_gone_is_not_marked(tmp_path: Path) -> None:
    StoreUse(tmp_path).of(tmp_path / "gone")
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("on_nfs", [False, True])
def test_another_users_lock_files_are_looked_at_and_end_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, on_nfs: bool
) -> None:
    store = Store(tmp_path)
    with store.exclusive("key"), store.workspace():
        pass
    theirs = [tmp_path / name for name in ("users/0.lock", "users/1.lock", "work/0.lock", "work/1.lock")]
    for number, path in enumerate(theirs, 1):
        path.touch()
        os.utime(path, ns=(number, number))
    really_open, really_lock = os.open, fcntl.flock

    def as_another_user(path: Path | str, flags: int, mode: int = 0o777) -> int:
        if Path(path) in {*theirs, tmp_path / "gate.lock", tmp_path / "locks" / "key.lock"} and flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return really_open(path, flags, mode)

    def as_on_nfs(handle: int | IO[str], how: int) -> None:
        number = handle if isinstance(handle, int) else handle.fileno()
        if Path(f"/proc/self/fd/{number}").readlink() in theirs:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        really_lock(handle, how)

    with holding(theirs[1]), holding(theirs[3]):
        monkeypatch.setattr(os, "open", as_another_user)
        if on_nfs:
            monkeypatch.setattr(fcntl, "flock", as_on_nfs)
        store = Store(tmp_path)
        with store.exclusive("key"), store.workspace():
            pass
        assert _earliest(tmp_path) == (1 if on_nfs else 2)  # nobody can tell whether the first one lives
        assert [path.exists() for path in theirs] == [on_nfs, True, on_nfs, True]
