"""What tests of the campaigns share."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.reliability.campaign import SMALLEST, Campaign, Sound
from benchmarks.reliability.tiny_job import TinyJob


@pytest.fixture
def paper(tmp_path: Path) -> Campaign:
    """A campaign whose run never was."""
    (tmp_path / "tmp").mkdir()
    sounds = {SMALLEST: Sound(digest="", wall_s=1.0)}
    return Campaign(job=TinyJob(folder=tmp_path), digest="", wall_s=1.0, seed=1, sounds=sounds)
