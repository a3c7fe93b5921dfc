"""How idle threads wait."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from pipeline.threads import SPIN_COUNT, WAIT_POLICY, rest_between_work, users_environment

if TYPE_CHECKING:
    import pytest


def test_threads_soon_sleep_where_the_user_said_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"HOME": "/home/user"})

    rest_between_work()

    assert os.environ[WAIT_POLICY] == "PASSIVE"
    assert os.environ[SPIN_COUNT] == "1000"


def test_the_users_own_policy_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {WAIT_POLICY: "ACTIVE"})

    rest_between_work()

    assert os.environ == {WAIT_POLICY: "ACTIVE"}
    assert users_environment() == {WAIT_POLICY: "ACTIVE"}


def test_a_user_who_asked_for_passive_threads_gets_the_moment_awake_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {WAIT_POLICY: "passive"})

    rest_between_work()

    assert os.environ[WAIT_POLICY] == "passive"
    assert os.environ[SPIN_COUNT] == "1000"
    assert users_environment() == {WAIT_POLICY: "passive"}


def test_the_users_own_count_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {SPIN_COUNT: "0"})

    rest_between_work()

    assert os.environ[SPIN_COUNT] == "0"
    assert users_environment() == {SPIN_COUNT: "0"}


def test_timed_engines_get_the_environment_the_user_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"HOME": "/home/user"})
    rest_between_work()
    rest_between_work()  # as a process further down does

    assert users_environment() == {"HOME": "/home/user"}


def test_the_command_line_sets_it_before_torch_is_loaded() -> None:
    code = (
        "import sys, os\n"
        "from pipeline.cli.main import main\n"
        "sys.argv = ['edgewright', 'targets']\n"
        "assert 'torch' not in sys.modules\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(os.environ['OMP_WAIT_POLICY'], os.environ['GOMP_SPINCOUNT'])\n"
    )
    ours = {WAIT_POLICY, SPIN_COUNT}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)

    assert done.stdout.splitlines()[-1] == "PASSIVE 1000"
