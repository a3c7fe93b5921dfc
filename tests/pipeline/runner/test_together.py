"""The commands that train, started by ``torchrun``: one process leads, and all train."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.recipe.reading import dump_recipe
from pipeline.store import Store

if TYPE_CHECKING:
    from pipeline.recipe import Recipe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_BIN = Path(sys.executable).parent


def _together(cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(_BIN / "torchrun"), "--nproc-per-node", "2", "--no-python", str(_BIN / "edgewright"), *arguments]
    environment = {**os.environ, "EDGEWRIGHT_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=800, check=False)


def _keys(cache: Path) -> dict[str, list[object]]:
    """Stage to the numbers of processes that are in its keys."""
    found: dict[str, list[object]] = {}
    for path in (cache / "keys").glob("*.json"):
        record = Store(cache).recall(path.stem)
        assert record is not None
        found.setdefault(str(record.components["stage"]), []).append(record.components.get("processes"))
    return found


def test_a_run_of_two_processes_is_one_run(tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe, cache, out = tmp_path / "recipe.yaml", tmp_path / "shared", tmp_path / "out"
    recipe.write_text(dump_recipe(tiny_recipe), encoding="utf-8")
    done = _together(cache, "deploy", "--recipe", str(recipe), "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("  bundle sha256 ") == 1
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert {row["status"] for row in report["stages"] if row["name"] in {"baseline", "distill", "prune"}} == {"ran"}
    keys = _keys(cache)
    assert set(keys["baseline"]) == set(keys["distill"]) == set(keys["prune"]) == {2}
    assert set(keys["answers"]) == set(keys["calibrate"]) == {None}  # however many there are
    again = _together(cache, "deploy", "--recipe", str(recipe), "--out", str(out))
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("nothing to do: every stage and every figure came from the store") == 1


def test_two_processes_write_one_file_of_answers(tiny_file: Path, tiny_data: Path, tmp_path: Path) -> None:
    cache, out = tmp_path / "shared", tmp_path / "theirs.safetensors"
    small = ("input.size=16", "input.resize=squash", "input.mean=0.5", "input.std=0.25", "baseline.schedule.epochs=1")
    settings = [part for setting in small for part in ("--set", setting)]
    done = _together(cache, "answers", f"{tiny_file}:tiny", "--data", str(tiny_data), "--out", str(out), *settings)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"answers of tiny to 120 images: {out}") == 1
    assert out.is_file()
    assert {stage: len(found) for stage, found in _keys(cache).items()} == {"baseline": 1, "answers": 1}
