"""What the process on the device answers where its disk is full, and says at its end."""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any, cast

from benchmarks.machine.disturbance import StateSampler
from pipeline.devices.there import agent
from pipeline.devices.there.jobs import Jobs

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
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


def test_two_runs_that_send_at_once_take_no_more_room_together_than_there_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    first, second = (agent._Agent(cast("Any", _Heard([b"x" * 40, b"x" * 40])), tmp_path, "python3") for _ in range(2))
    asked = {"keep": [], "limit": 100, "least_free": 0}
    data = hashlib.sha256(b"x" * 80).hexdigest()

    assert first._room({"size": 80, **asked}) == {}
    refused = second._room({"size": 21, **asked})
    assert refused["error"] == "no room"
    assert second._room({"size": 20, **asked}) == {}
    assert first._room({"size": 80, **asked}) == {}  # what it asked for before is not beside that

    assert first._put({"sha256": data, "body": 80}) == {}
    assert second._room({"size": 21, **asked, "keep": [data]})["error"] == "no room"  # it is there now
    first.end()
    assert second._room({"size": 100, **asked}) == {}  # in its place
    second.end()


def test_one_that_was_lost_while_it_sent_is_promised_nothing(tmp_path: Path) -> None:
    lost, other = Jobs(tmp_path), Jobs(tmp_path)
    lost.expect(1 << 40)
    assert (other.promised(), lost.promised()) == (1 << 40, 0)
    lost.expect(7)
    assert other.promised() == 7
    lost._lock.close()
    assert other.promised() == 0
    other.end()


def test_what_others_take_is_looked_at_on_the_cores_that_a_worker_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    looked_at: list[Collection[int]] = []

    def sampler(cores: Collection[int]) -> StateSampler:
        looked_at.append(cores)
        return StateSampler(cores)

    monkeypatch.setattr(agent, "StateSampler", sampler)
    ends = tmp_path / "ends.py"
    ends.write_text("import sys\nsys.exit(3)\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", [str(ends)])
    here = agent._Agent(cast("Any", _Heard()), tmp_path, f"{sys.executable} -S -E")
    for request in ({"affinity": [0]}, {"affinity": []}, {}):
        here._worked({"module": "any", "request": request, "files": {}, "answer": "answer", "environment": {}})
    here.end()

    assert looked_at == [[0], (), ()]


class _Heard:
    """A wire of which one sees what was sent; what comes behind a message is given."""

    def __init__(self, pieces: Sequence[bytes] = ()) -> None:
        self.sent: list[dict[str, Any]] = []
        self.pieces = pieces

    def body(self, size: int) -> Sequence[bytes]:
        assert size == sum(map(len, self.pieces))
        return self.pieces

    def send(self, message: dict[str, Any], body: Path | None = None) -> None:
        assert body is None
        self.sent.append(message)
