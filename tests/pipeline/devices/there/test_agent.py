"""What the process on the device answers where its disk is full, and says at its end."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any, cast

from pipeline.devices.there import agent
from pipeline.devices.there.jobs import Jobs

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_without_room_for_a_folder_of_its_own_it_removes_nothing_that_another_run_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sent = tmp_path / "cache" / "00" / (64 * "0")
    sent.parent.mkdir(parents=True)
    sent.touch()
    another = Jobs(tmp_path / "jobs")

    def full(_: Path) -> Jobs:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(agent, "Jobs", full)
    no_wire: Any = None
    here = agent._Agent(no_wire, tmp_path, "python3")

    assert here._empty({})["error"] == "busy"
    assert sent.exists()

    another.end()
    assert here._empty({}) == {"size": 0, "left": []}
    assert not (tmp_path / "cache").exists()
    here.end()


def test_of_a_worker_that_it_kills_as_its_connection_is_silent_it_does_not_say_that_it_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sleeps = tmp_path / "sleeps.py"
    sleeps.write_text("import time\nprint('asleep', flush=True)\ntime.sleep(60)\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", [str(sleeps)])
    wire = _Heard()
    here = agent._Agent(cast("Any", wire), tmp_path, sys.executable)
    message = {"ask": "work", "module": "any", "request": {}, "files": {}, "answer": "answer", "environment": {}}
    work = threading.Thread(target=here._work, args=(message,))
    work.start()
    until = time.monotonic() + 30
    while not wire.sent and time.monotonic() < until:
        time.sleep(0.01)

    here.end()
    work.join(timeout=30)

    assert not work.is_alive()
    assert wire.sent == [{"progress": "asleep"}]


class _Heard:
    """A wire of which one sees what was sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any], body: Path | None = None) -> None:
        assert body is None
        self.sent.append(message)
