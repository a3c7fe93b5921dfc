"""The whole chain with everything measured on a device, over a real SSH connection: an ARM board, as it says itself."""

from __future__ import annotations

import json
import os
import platform
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from exporters.bundle import read_bundle
from pipeline.catalog import OPENERS
from pipeline.chain.chain import Chain
from pipeline.chain.engine_measurement import _components, measure
from pipeline.chain.plan import make_plan
from pipeline.devices.device import Device
from pipeline.environment import any_machine, this_machine
from pipeline.errors import DeviceError, UsageError
from pipeline.progress import SilentProgress
from pipeline.runner.deploy import deploy
from pipeline.runner.explain import explain
from pipeline.session import EngineSpec

if TYPE_CHECKING:
    from benchmarks.workers.workplace import Workplace
    from pipeline.artifact import Artifact
    from pipeline.recipe import Recipe
    from pipeline.runner.publish import Deployed
    from pipeline.runner.report_rows import Outcome
    from pipeline.store import Store

MakeDevice = Callable[..., Device]

STAGES = ("baseline", "calibrate", "export", "build")


def _deployed(
    recipe: Recipe, store: Store, out: Path, place: Workplace, announce: Callable[[Outcome], None] = lambda _: None
) -> Deployed:
    plan = make_plan(recipe, store, SilentProgress(), place=place)
    (deployed,) = deploy(Chain(plan, store, SilentProgress(), announce), out=out)
    return deployed


def _statuses(recipe: Recipe, store: Store, **where: Workplace) -> dict[str, str]:
    found = explain(make_plan(recipe, store, SilentProgress(), **where), store)
    return {one.stage: one.status for one in found}


def test_an_engine_is_measured_there_once_and_not_taken_for_one_measured_here(
    device: MakeDevice, arm_python: str, short: Recipe, engine: Artifact, store: Store, tmp_path: Path
) -> None:
    with device(python=f"TMPDIR={tmp_path} {arm_python}") as board:
        plan = make_plan(short, store, SilentProgress(), place=board)
        (target,) = plan.targets
        first, second = (measure(engine, target, plan, store, SilentProgress()) for _ in range(2))
        here = make_plan(short, store, SilentProgress())
        spec = EngineSpec.from_json(engine.facts["engine"])
        there, own = (_components(engine, spec, target, one) for one in (plan, here))

    assert (first.cached, second.cached) == (False, True)
    assert (second.solo.samples_s(), second.accuracy) == (first.solo.samples_s(), first.accuracy)
    assert first.accuracy.n == 72
    assert there["machine"] == board.facts.machine.machine_class != own["machine"]
    assert {key for key in there if there[key] != own[key]} == {"machine", "versions"}
    assert target.dialect(plan.machine) == "ort-arm"


@pytest.mark.slow
def test_every_figure_comes_from_the_device_and_the_bundle_is_for_it(
    device: MakeDevice, arm_python: str, short: Recipe, store: Store, tmp_path: Path
) -> None:
    """Also when the connection is lost while nothing is measured; and a second run measures and sends nothing."""

    def cut_once(outcome: Outcome) -> None:
        if outcome.result.stage == "baseline":
            os.kill(board.connection.master_pid, signal.SIGKILL)

    with device(python=f"TMPDIR={tmp_path} {arm_python}", lasting=True) as board:
        deployed = _deployed(short, store, tmp_path / "out", board, cut_once)
        images = [sample.path for sample in make_plan(short, store, SilentProgress()).parts.dataset.test]
        bundle = read_bundle(deployed.folder / "bundle")
        sent = board.sent.files
        again: list[Outcome] = []
        _deployed(short, store, tmp_path / "again", board, again.append)

        report = deployed.report
        rows = [row for row in report.stages if row.status != "skipped"]
        assert tuple(row.name for row in rows) == STAGES
        assert {(row.measured_on, row.latency_s.n, row.accuracy.n) for row in rows} == {("board", 12, 72)}
        assert all(row.memory_bytes.peak and row.size_bytes for row in rows)
        assert (report.machine.device, report.machine.architecture) == ("board", "aarch64")
        assert report.machine.versions["onnxruntime"] == board.facts.versions["onnxruntime"]
        assert report.made_on is not None
        assert (report.made_on.device, report.made_on.class_) == (None, this_machine().machine_class)
        assert report.verdict.status in {"ok", "missed"}
        assert (report.verdict.speedup is None) == ("could not be told" in report.verdict.sentence)  # on a busy machine
        assert report.quantization is not None
        assert report.quantization.dialect == bundle.manifest["dialect"] == "ort-arm"
        assert bundle.manifest["machine"]["architectures"] == ["aarch64", "arm64"]

        assert [one.measured.cached for one in again if one.measured] == [True] * len(STAGES)
        assert board.sent.files == sent

        assert set(_statuses(short, store, place=board).values()) == {"cached", "skipped"}
        assert _statuses(short, store)["export"] == "would run"  # what was decided there is not taken for here

    _answers_there_as_the_pipeline_did(bundle.root, images[0], arm_python)
    refused = subprocess.run(
        [sys.executable, bundle.root / "run.py", images[0]], capture_output=True, text=True, check=False
    )
    if platform.machine() not in {"aarch64", "arm64"}:
        assert refused.returncode != 0
        assert f"this bundle is for aarch64 or arm64, this machine is {platform.machine()}" in refused.stderr


def _answers_there_as_the_pipeline_did(bundle: Path, image: Path, python: str) -> None:
    from pipeline.import_path import object_at

    found = read_bundle(bundle)
    with object_at(OPENERS["ort-cpu"])(bundle, found.spec) as session:
        (expected,) = session.run(found.preprocess.load(str(image))[None])
    command = f"env {python} {shlex.quote(str(bundle / 'run.py'))} --json {shlex.quote(str(image))}"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
    assert np.array_equal(np.array(json.loads(done.stdout)["logits"], np.float32), expected[0])


def test_a_device_that_lacks_a_target_is_told_before_anything_is_read(
    device: MakeDevice, short: Recipe, store: Store
) -> None:
    with device(python=f"{sys.executable} -S") as board:
        with pytest.raises(DeviceError, match="the device has no onnxruntime") as raised:
            make_plan(short, store, SilentProgress(), place=board)
        assert (raised.value.where, raised.value.exit_code) == ("board", 2)
        assert raised.value.fix == "edgewright device check board --install"

    with device() as board, pytest.raises(DeviceError, match="engines for tensorrt are not measured on devices"):
        board.check(_tensorrt())


def _tensorrt() -> object:
    from exporters.tensorrt.target import TENSORRT

    return TENSORRT


def test_for_another_architecture_without_a_device_nothing_is_measured_and_every_row_says_why(
    short: Recipe, store: Store, tmp_path: Path
) -> None:
    other = "aarch64" if platform.machine() == "x86_64" else "x86_64"
    plan = make_plan(short, store, SilentProgress(), machine=any_machine(other))
    (deployed,) = deploy(Chain(plan, store, SilentProgress(), lambda _: None), out=tmp_path / "out")

    manifest, report = read_bundle(deployed.folder / "bundle").manifest, deployed.report
    assert other in manifest["machine"]["architectures"]
    assert manifest["machine"]["isa"] == []
    assert manifest["dialect"] == ("ort-arm" if other == "aarch64" else "ort-x86")
    assert (report.verdict.status, report.verdict.speedup) == ("unmeasured", None)
    for row in (row for row in report.stages if row.status != "skipped"):
        assert (row.latency_s.p50, row.memory_bytes.peak, row.accuracy.value) == (None, None, None)
        assert row.notes[-1].startswith(f"not measured: it is for {other} and was made on ")


def test_auto_cannot_be_chosen_without_measuring(short: Recipe, store: Store) -> None:
    other = any_machine("aarch64" if platform.machine() == "x86_64" else "x86_64")
    with pytest.raises(UsageError, match="target auto is chosen by measuring"):
        make_plan(short.model_copy(update={"targets": ("auto",)}), store, SilentProgress(), machine=other)
