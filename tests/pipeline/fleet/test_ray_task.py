"""What a worker of Ray's does before its cell is run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pipeline.fleet import ray_task

if TYPE_CHECKING:
    import pytest


def test_exit_codes_and_times_of_processes_that_a_cell_starts_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    context = SimpleNamespace(get_node_id=lambda: "a machine")
    board: Any = SimpleNamespace(tell=SimpleNamespace(remote=lambda *_: None))
    found: dict[str, Any] = {}

    def run_cell(*_: object) -> None:
        before = os.times().children_user
        command = [sys.executable, "-Sc", "sum(range(10**6)); raise SystemExit(3)"]
        found["code"] = subprocess.run(command, check=False).returncode
        found["took_s"] = os.times().children_user - before

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(get_runtime_context=lambda: context))
    monkeypatch.setattr(os, "setpgid", lambda *_: None)
    monkeypatch.setattr(ray_task, "run_cell", run_cell)
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # as Ray starts it
    try:
        ray_task.work(0, SimpleNamespace(), board)  # type: ignore[arg-type] # the cell is not run
    finally:
        signal.signal(signal.SIGCHLD, before)

    assert found["code"] == 3
    assert found["took_s"] > 0
