"""Losing a device in the middle of a deploy, and what counts as otherwise than promised."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from benchmarks import lost_connections
from benchmarks.loopback import NoServerError, loopback, running_from
from benchmarks.lost_connections import LostConnections, _failure, _masters
from benchmarks.reliability.tiny_job import Ended

if TYPE_CHECKING:
    from benchmarks.reliability.tiny_job import TinyJob

WELL = Ended(code=0, out="  bundle sha256 abc\n", err="")
LOST = Ended(code=2, out="", err="error: lb: the connection was lost\n")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_deploys_that_lose_their_device_make_the_same_bundle_in_the_end(tmp_path: Path) -> None:
    for name in ("server", "job"):
        (tmp_path / name).mkdir()
    try:
        with loopback(tmp_path / "server") as server:
            outcome = LostConnections.with_device(tmp_path / "job", server.address, server.folder).run(3, seed=1)
    except NoServerError as error:
        pytest.skip(str(error))

    assert outcome.failures == []
    assert outcome.tries == 3
    assert " 0 of 3 had a connection to lose" not in outcome.notes[0]


def test_a_loss_that_was_told_and_one_that_was_survived_are_as_promised() -> None:
    assert _failure(LOST, WELL, "abc", []) is None
    assert _failure(WELL, WELL, "abc", []) is None


@pytest.mark.parametrize(
    ("first", "second", "left", "told"),
    [
        (LOST, WELL, ["python agent"], "still running there after 5 s: ['python agent']"),
        (Ended(code=70, out="", err="a defect"), WELL, [], "ended with 70: a defect"),
        (Ended(code=2, out="", err="Traceback ... the connection was lost"), WELL, [], "ended with 2: Traceback"),
        (Ended(code=2, out="", err="error: no data"), WELL, [], "ended without saying that the connection was lost"),
        (LOST, Ended(code=6, out="", err="damaged"), [], "the next run ended with 6: damaged"),
        (LOST, Ended(code=0, out="  bundle sha256 other\n", err=""), [], "another bundle, other"),
    ],
)
def test_everything_else_is_a_failure(first: Ended, second: Ended, left: list[str], told: str) -> None:
    assert (_failure(first, second, "abc", left) or "").startswith(told)


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_what_outlives_its_connection_and_not_the_run_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blow: signal.Signals
) -> None:
    (tmp_path / "there" / "cache").mkdir(parents=True)
    (tmp_path / "there" / "jobs").mkdir()
    waits = "import sys; sys.stdin.read()"
    agent, connection = (
        subprocess.Popen([sys.executable, "-c", waits, word], stdin=subprocess.PIPE)
        for word in (str(tmp_path / "there" / "code" / "sent.pyz"), "-M")
    )
    ends = [LOST, WELL]

    def ended(_process: object) -> Ended:
        agent.communicate()
        return ends.pop(0)

    campaign = LostConnections(job=cast("TinyJob", SimpleNamespace(folder=tmp_path, ended=ended)), under=())

    def until(*, timeout: float) -> None:
        time.sleep(timeout)

    run = SimpleNamespace(pid=os.getpid(), wait=until)
    monkeypatch.setattr(LostConnections, "_deploy", lambda _self, _name: run)
    monkeypatch.setattr(lost_connections, "_GONE_S", 0.1)
    try:
        code, hit, failure = campaign._lose("run", blow, 0.2, "abc")
    finally:
        connection.kill()
        connection.communicate()
        agent.communicate()
    assert (code, hit) == (2, True)
    assert (failure or "").startswith("still running there after 0.1 s: ")


def test_what_runs_on_the_device_and_who_connects_is_found(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    waits = "import sys; sys.stdin.read()"
    pipe = subprocess.PIPE
    with (
        subprocess.Popen([sys.executable, "-c", waits, str(code / "sent.pyz")], stdin=pipe) as there,
        subprocess.Popen([sys.executable, "-c", waits, "-M"], stdin=pipe) as connection,
    ):
        assert [one.split()[-1] for one in running_from(code).values()] == [str(code / "sent.pyz")]
        assert _masters(os.getpid()) == [connection.pid]
        for process in (there, connection):
            process.communicate()

    assert running_from(code) == {}
    assert _masters(os.getpid()) == []
