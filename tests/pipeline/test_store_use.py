"""Who uses a store is known as long as they live, and no longer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

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
