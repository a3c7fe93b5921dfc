"""What cannot be is told before anything is started."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.devices.entries import add_device
from pipeline.errors import UsageError
from pipeline.fleet.cells import Cell
from pipeline.fleet.preflight import preflight

Cells = Callable[[str], tuple[Cell, ...]]


@pytest.fixture(autouse=True)
def _own_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def _told(cells: tuple[Cell, ...], *, elsewhere: bool = False) -> str:
    with pytest.raises(UsageError) as raised:
        preflight(cells, elsewhere=elsewhere)
    return str(raised.value)


def test_cells_that_can_be_pass(cells: Cells) -> None:
    preflight(cells("models: [resnet18, mobilenet_v2]\ntargets: [ort-cpu, auto]\n"), elsewhere=False)


def test_an_unknown_target_is_told_with_the_nearest(cells: Cells) -> None:
    told = _told(cells("models: [resnet18]\ntargets: [ort-cpu, openvno]\n"))
    assert told.startswith("unknown target 'openvno'\n  expected: did you mean openvino?\n")


def test_an_unknown_model_is_told_with_the_nearest(cells: Cells) -> None:
    assert _told(cells("models: [resnet18, resnet19]\n")).startswith(
        "unknown model 'resnet19'\n  expected: did you mean"
    )


def test_files_of_a_model_may_be_on_other_machines_alone(cells: Cells) -> None:
    found = cells("models: ['/nowhere/net.py:build']\n")
    preflight(found, elsewhere=True)
    assert "/nowhere/net.py" in _told(found)


def test_an_unknown_device_is_told_with_the_command_that_adds_it(cells: Cells) -> None:
    told = _told(cells("models: [resnet18]\ndevices: [here, pi]\n"))
    assert told.startswith("unknown device 'pi'\n")
    assert "fix: edgewright device add pi ssh://user@host" in told


def test_a_device_that_was_added_may_stand_beside_the_machine_itself(cells: Cells) -> None:
    add_device("pi", {"address": "ssh://pi@board"})
    preflight(cells("models: [resnet18]\ndevices: [here, pi]\n"), elsewhere=False)


def test_an_address_is_no_name_for_a_device_of_a_fleet(cells: Cells) -> None:
    told = _told(cells("models: [resnet18]\ndevices: ['ssh://me@board']\n"))
    assert "fix: edgewright device add NAME ssh://me@board, and that name in the file" in told
