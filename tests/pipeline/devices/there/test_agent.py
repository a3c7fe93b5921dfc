"""What the process on the device answers where its disk is full."""

from __future__ import annotations

import errno
import os
import tempfile
from typing import TYPE_CHECKING, Any

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
