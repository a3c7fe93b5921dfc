"""How idle threads wait."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from pipeline.threads import WAIT_POLICY, users_environment, wait_asleep

if TYPE_CHECKING:
    import pytest


def test_threads_sleep_where_the_user_said_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"HOME": "/home/user"})

    wait_asleep()

    assert os.environ[WAIT_POLICY] == "PASSIVE"


def test_the_users_own_policy_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {WAIT_POLICY: "ACTIVE"})

    wait_asleep()

    assert os.environ == {WAIT_POLICY: "ACTIVE"}
    assert users_environment() == {WAIT_POLICY: "ACTIVE"}


def test_timed_engines_get_the_environment_the_user_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"HOME": "/home/user"})
    wait_asleep()

    assert users_environment() == {"HOME": "/home/user"}


def test_the_command_line_sets_it_before_torch_is_loaded() -> None:
    code = (
        "import sys, os\n"
        "from pipeline.cli.main import main\n"
        "sys.argv = ['edgewright', 'targets']\n"
        "assert 'torch' not in sys.modules\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(os.environ['OMP_WAIT_POLICY'])\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != WAIT_POLICY}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)

    assert done.stdout.splitlines()[-1] == "PASSIVE"
