"""The tables: whatever is listed is there, and what is not listed is an error that names what is near."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import exporters
from pipeline.catalog import OPENERS, TARGETS, TASKS, target_named, task_named
from pipeline.environment import Machine
from pipeline.errors import UnknownNameError
from pipeline.import_path import object_at
from pipeline.quantization.dialects import dialect_named

MACHINES = [
    Machine(cpu="some", architecture=architecture, cores=2, ram_gib=4, isa=(), system="Linux")
    for architecture in ("x86_64", "aarch64")
]


def test_every_target_can_be_opened_and_nothing_else_can() -> None:
    assert set(OPENERS) == {*TARGETS, "ensemble"}  # which is measured and never shipped


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_is_what_its_entry_says(name: str) -> None:
    assert target_named(name).name == name


@pytest.mark.parametrize("name", OPENERS)
def test_an_opener_resolves_to_a_function(name: str) -> None:
    assert callable(object_at(OPENERS[name]))


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_that_cannot_be_built_here_says_which_command_helps(name: str) -> None:
    missing = target_named(name).missing()
    assert missing is None or "install" in missing


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.architecture)
@pytest.mark.parametrize("name", TARGETS)
def test_a_target_asks_for_a_dialect_that_exists(name: str, machine: Machine) -> None:
    dialect = target_named(name).dialect(machine)
    assert dialect_named(dialect).name == dialect


@pytest.mark.parametrize("name", TARGETS)
def test_the_template_of_a_targets_run_script_is_there(name: str) -> None:
    assert Path(exporters.__path__[0], "device", target_named(name).run_template).is_file()


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_names_what_decides_its_engines_and_what_the_device_needs(name: str) -> None:
    target = target_named(name)
    assert target.distributions
    assert target.runtime
    assert target.description


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_what_its_entry_says(name: str) -> None:
    assert task_named(name).name == name


def test_an_unknown_target_is_an_error_with_the_nearest_one() -> None:
    with pytest.raises(UnknownNameError) as raised:
        target_named("ort-cpus")
    assert str(raised.value).startswith("unknown target 'ort-cpus'\n  expected: did you mean ort-cpu")
    assert str(raised.value).endswith("\n  fix: `edgewright targets` lists what can be built here")


def test_an_unknown_task_is_an_error_with_the_nearest_one() -> None:
    with pytest.raises(UnknownNameError) as raised:
        task_named("clasification")
    assert str(raised.value) == "unknown task 'clasification'\n  expected: did you mean classification?"


def test_names_are_taken_literally() -> None:
    with pytest.raises(UnknownNameError, match="unknown target 'ORT-CPU'"):
        target_named("ORT-CPU")


def test_the_tables_bring_in_no_runtime() -> None:
    code = (
        "import sys, pipeline.catalog; "
        "print(sorted({'torch', 'onnxruntime', 'onnx', 'openvino', 'tensorrt'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
