"""A run that is killed without warning goes on where it was, and makes the same bundle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from pipeline.recipe.reading import dump_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.recipe import Recipe

_STAGES = ("baseline", "distill", "prune", "calibrate", "export", "build")


def _start(recipe: Path, cache: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-c", "from pipeline.cli.main import main; main()"]
    return subprocess.Popen(
        [*command, "deploy", "--recipe", str(recipe), "--out", str(out)],
        env={**os.environ, "EDGEWRIGHT_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _finish(recipe: Path, cache: Path, out: Path) -> str:
    process = _start(recipe, cache, out)
    told, complained = process.communicate(timeout=280)
    assert process.returncode == 0, complained
    assert json.loads((out / "report.json").read_text(encoding="utf-8"))["verdict"]["precision"] == "int8"
    return next(line.split()[-1] for line in told.splitlines() if line.startswith("  bundle sha256 "))


def _kill_within(stage: str, recipe: Path, cache: Path, out: Path, *, after_s: float) -> list[str]:
    """Kill the run and its children so long after the stage before has ended; returns the lines it had printed."""
    process = _start(recipe, cache, out)
    assert process.stdout is not None
    lines = []
    before = _STAGES[_STAGES.index(stage) - 1] if stage != _STAGES[0] else "net.py:tiny on"
    for line in process.stdout:
        lines.append(line)
        if before in line.split("  ")[0]:
            break
    time.sleep(after_s)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    return lines


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_killed_in_each_stage_makes_the_same_bundle(tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(dump_recipe(tiny_recipe), encoding="utf-8")
    whole = _finish(recipe, tmp_path / "whole", tmp_path / "whole-out")
    for number, stage in enumerate(_STAGES):
        _kill_within(stage, recipe, tmp_path / "killed", tmp_path / "killed-out", after_s=0.05 * number)
    assert not (tmp_path / "killed-out" / "report.json").exists()
    assert _finish(recipe, tmp_path / "killed", tmp_path / "killed-out") == whole
    assert not list((tmp_path / "killed" / "work").iterdir())
