"""What the doctor finds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipeline.catalog import TARGETS, target_named
from pipeline.doctor import examine
from pipeline.environment import this_machine, versions

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_every_target_is_told_with_what_it_says_itself() -> None:
    found = {state.name: state for state in examine().targets}
    assert list(found) == list(TARGETS)
    for name, state in found.items():
        target = target_named(name)
        assert (state.missing, state.cannot_run, state.precisions) == (
            target.missing(),
            target.cannot_run(),
            target.precisions,
        )


def test_libraries_are_told_with_their_versions_and_only_those_that_are_here() -> None:
    libraries = examine().libraries
    assert libraries == {name: found for name, found in versions(libraries).items() if found}
    assert {"torch", "onnx"} <= set(libraries)


def test_the_machine_is_told_with_what_decides_speed() -> None:
    machine = examine().machine
    assert machine["CPU"] == this_machine().cpu
    assert machine["instructions"].split() == list(this_machine().isa) or not this_machine().isa
    assert machine["cores"].startswith(str(len(os.sched_getaffinity(0))))


def test_a_process_kept_to_some_cores_is_told() -> None:
    here = os.sched_getaffinity(0)
    if len(here) < 2:
        return
    os.sched_setaffinity(0, {min(here)})
    try:
        cores = examine().machine["cores"]
    finally:
        os.sched_setaffinity(0, here)
    assert cores == f"1 of {os.cpu_count()}: this process is kept to those"


def test_the_store_need_not_exist_to_tell_the_room_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "no" / "such" / "folder"
    monkeypatch.setenv("EDGEWRIGHT_CACHE", str(store))
    assert examine().machine["store"].startswith(f"{store}, ")
    assert not store.parent.exists()


def test_a_mixture_of_wheels_is_a_trouble_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("onnxruntime", "onnxruntime_gpu"):
        folder = tmp_path / f"{name}-1.99.0.dist-info"
        folder.mkdir()
        text = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.99.0\n"
        (folder / "METADATA").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert any("pip uninstall -y onnxruntime onnxruntime-gpu" in trouble for trouble in examine().troubles)
