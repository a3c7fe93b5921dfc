"""One measurement at a time; the one that died has no turn any more."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

from benchmarks.workers.launch import one_at_a_time
from pipeline.devices.there.measuring_lock import MeasuringLock

if TYPE_CHECKING:
    from pathlib import Path

_HOLDS = """
import sys
from pipeline.devices.there.measuring_lock import MeasuringLock
turn = MeasuringLock()
print(turn.take(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_second_one_is_told_who_has_the_turn_until_that_one_dies() -> None:
    turn, pipe = MeasuringLock(), subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", _HOLDS], stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "None\n"
        assert f"process {other.pid}" in (turn.take() or "")
        other.kill()
        other.wait()

        assert turn.take() is None
        assert turn.take() is None
    turn.give_back()


def test_a_measurement_of_this_machine_itself_is_waited_for() -> None:
    turn = MeasuringLock()
    with one_at_a_time():
        assert turn.take() is not None
    assert turn.take() is None
    turn.give_back()
