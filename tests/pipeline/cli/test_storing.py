"""The store is looked after from the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Edgewright = Callable[..., subprocess.CompletedProcess[str]]
Deployed = Any
"""The conftest's: what one run printed, and where its results and its store lie."""


@pytest.fixture
def kept(deployed: Deployed, tmp_path: Path) -> Path:
    """A copy of a run's store."""
    return Path(shutil.copytree(deployed.cache, tmp_path / "kept"))


def test_where_it_is_is_printed_alone(edgewright: Edgewright, tmp_path: Path) -> None:
    assert edgewright("store", "path", cache=tmp_path / "there").stdout == f"{tmp_path / 'there'}\n"


def test_what_a_run_left_is_listed(edgewright: Edgewright, kept: Path) -> None:
    done = edgewright("store", "list", cache=kept)
    assert (done.returncode, done.stderr) == (0, "")
    assert {line.split()[0] for line in done.stdout.splitlines()[1:-2]} >= {"result", "measurement", "data"}
    assert {"baseline", "calibrate", "export", "build"} <= set(done.stdout.split())
    assert done.stdout.splitlines()[-1].endswith(f"in {kept}")
    listed = json.loads(edgewright("store", "list", "--json", cache=kept).stdout)
    assert sum(one["size_bytes"] for one in listed["items"] if one["what"] == "baseline") > 0


def test_what_a_run_left_is_intact_and_a_changed_byte_is_named_removed_and_made_anew(
    edgewright: Edgewright, kept: Path
) -> None:
    assert edgewright("store", "check", cache=kept).stdout.startswith("intact ")
    file = next((kept / "artifacts").glob("*/weights.safetensors"))
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    found = edgewright("store", "check", cache=kept)
    name = f"artifacts/{file.parent.name}: weights.safetensors is not what it was"
    assert found.returncode == 6
    assert found.stdout == f"damaged  {name}\n"
    assert found.stderr.startswith(f"error: {kept}: 1 of ")
    as_json = edgewright("store", "check", "--json", cache=kept)
    assert as_json.returncode == 6
    assert [one["path"] for one in json.loads(as_json.stdout)["damaged"]] == [f"artifacts/{file.parent.name}"]
    repaired = edgewright("store", "check", "--repair", cache=kept)
    assert (repaired.returncode, repaired.stdout) == (0, f"removed  {name}\n")
    assert edgewright("store", "check", cache=kept).returncode == 0


def test_gc_says_what_it_would_free_and_frees_it(edgewright: Edgewright, kept: Path) -> None:
    told = json.loads(edgewright("store", "gc", "--keep-bytes", "0", "--dry-run", "--json", cache=kept).stdout)
    assert told["freed_bytes"] > 0
    done = edgewright("store", "gc", "--keep-bytes", "0", cache=kept)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("freed ")
    assert list((kept / "artifacts").iterdir()) == []


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ((), "error: what may go is not said\n"),
        (("--keep-bytes", "5x"), "error: --keep-bytes: no size\n  got: 5x\n"),
        (("--keep-bytes", "-1"), "error: --keep-bytes: no size\n"),
    ],
)
def test_gc_that_is_not_told_what_may_go_removes_nothing(
    edgewright: Edgewright, tmp_path: Path, typed: tuple[str, ...], told: str
) -> None:
    done = edgewright("store", "gc", *typed, cache=tmp_path / "none")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(told)


def test_nothing_kept_is_said(edgewright: Edgewright, tmp_path: Path) -> None:
    assert edgewright("store", "list", cache=tmp_path / "none").stdout == f"nothing is kept in {tmp_path / 'none'}\n"
