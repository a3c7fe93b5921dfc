"""The stage that makes what the target loads: what the contract of stages does not say."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from exporters.build_options import Build
from exporters.ort_cpu.target import ORT_CPU
from pipeline.catalog import TARGETS, target_named
from pipeline.errors import IntegrityError, ResourceError
from pipeline.session import EngineSpec
from pipeline.stages.build import BuildFor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.artifact import Artifact

    Run = Callable[..., Artifact]

_FILL_THEN_BUILD = """
import sys
from pathlib import Path

from exporters.ort_cpu.target import ORT_CPU
from pipeline.store import Store

root = Path(sys.argv[2])
try:
    with Store(root).workspace() as folder:
        filler = (root / "filler").open("wb", buffering=0)
        try:
            while True:
                filler.write(bytes(1024))
        except OSError:
            filler.truncate(filler.tell() - 1024)
        ORT_CPU.build(Path(sys.argv[1]), folder, precision="float")
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize("name", TARGETS)
def test_the_versions_it_is_pinned_by_are_the_targets_own(name: str) -> None:
    target = target_named(name)
    stage = BuildFor(target=name, source="float.onnx", precision="float", builder=target)
    assert stage.pins == target.distributions


def test_it_builds_from_the_file_it_is_told(exported: Artifact, engine: Artifact, run: Run) -> None:
    floats = run(BuildFor(target="ort-cpu", source="float.onnx", precision="float", builder=ORT_CPU), exported)
    assert (floats.facts["precision"], engine.facts["precision"]) == ("float", "int8")
    assert floats.size_bytes > 1.5 * engine.size_bytes
    assert EngineSpec.from_json(floats.facts["engine"]) == EngineSpec.from_json(engine.facts["engine"])


def test_a_file_that_was_not_exported_is_named_with_those_that_were(exported: Artifact, run: Run) -> None:
    with pytest.raises(IntegrityError) as raised:
        run(BuildFor(target="ort-cpu", source="qdq-mips.onnx", precision="int8", builder=ORT_CPU), exported)
    assert raised.value.what == "the onnx artifact has no file 'qdq-mips.onnx'"
    assert raised.value.got == (
        "float.onnx, qdq-ort-arm.onnx, qdq-ort-x86-7bit.onnx, qdq-ort-x86.onnx, qdq-tensorrt.onnx"
    )


def test_a_stage_is_told_what_auto_came_to() -> None:
    # A stage sees no measurement, so it cannot choose.
    with pytest.raises(ValidationError, match="Input should be 'float', 'fp16', 'bf16' or 'int8'"):
        BuildFor(target="ort-cpu", source="float.onnx", precision="auto", builder=ORT_CPU)


def test_the_recipe_leaves_the_precision_to_the_measurement_unless_told() -> None:
    assert Build().precision == "auto"
    with pytest.raises(ValidationError, match="Input should be 'auto', 'int8', 'fp16', 'bf16' or 'float'"):
        Build(precision="int4")


def test_a_disk_that_fills_up_while_the_runtime_writes_is_no_defect(exported: Artifact, tmp_path: Path) -> None:
    # Runtimes write in C++ and have errors of their own: none of them is an OSError.
    mount = 'mount -t tmpfs -o size=96k none "$1" && shift && exec "$@"'
    enter = ["unshare", "-rm", "sh", "-c", mount, "sh", str(tmp_path)]  # a small disk of our own, gone with the process
    probe = subprocess.run([*enter, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"no disk of one's own can be mounted here: {probe.stderr.strip()}")
    command = [*enter, sys.executable, "-c", _FILL_THEN_BUILD, str(exported.path("float.onnx")), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [ResourceError.__name__]
