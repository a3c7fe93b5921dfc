"""A device of another architecture for real: an ARM64 Python behind SSH, run by qemu. Its times mean nothing."""

from __future__ import annotations

import json
import os
import platform
import shutil
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
from pipeline.chain.plan import make_plan
from pipeline.progress import SilentProgress
from pipeline.recipe import read_recipe
from pipeline.recipe.reading import QUICK
from pipeline.runner.deploy import deploy

if TYPE_CHECKING:
    from pipeline.devices.device import Device
    from pipeline.recipe import Recipe
    from pipeline.store import Store

_ROOT = Path(os.environ.get("EDGEWRIGHT_ARM64", Path.home() / ".cache" / "edgewright-arm64"))
_PYTHON = _ROOT / "usr" / "bin" / "python3.11"
_QEMU = shutil.which("qemu-aarch64-static")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(_QEMU is None, reason="there is no qemu-aarch64-static here: apt-get install qemu-user-static"),
    pytest.mark.skipif(
        not _PYTHON.exists(), reason=f"there is no ARM64 Python in {_ROOT}: tests/pipeline/devices/arm64_root.sh"
    ),
    pytest.mark.skipif(platform.machine() == "aarch64", reason="this machine is one itself"),
]


@pytest.mark.parametrize("network", ["tiny", "resnet18"])
def test_a_network_is_deployed_for_it_and_answers_there_as_the_pipeline_did(
    device: Callable[..., Device], short: Recipe, store: Store, tmp_path: Path, network: str
) -> None:
    python = f"{_QEMU} -L {_ROOT} -E PYTHONPATH={_ROOT / 'site'} -E TMPDIR={tmp_path} {_PYTHON}"
    little = {"measure.processes": 1, "measure.iterations": 40, "data.test_images": 128}
    quick = read_recipe(None, {"model": "resnet18", "weights": "none", **QUICK, **little})
    recipe = {"tiny": short, "resnet18": quick}[network]
    with device(python=python, lasting=True) as board:
        plan = make_plan(recipe, store, SilentProgress(), place=board)
        (deployed,) = deploy(Chain(plan, store, SilentProgress(), lambda _: None), out=tmp_path / "out")
        report, bundle = deployed.report, read_bundle(deployed.folder / "bundle")
        images = plan.parts.dataset.test[:20]
        what = (bundle.root, bundle.spec, OPENERS[bundle.spec.target], images, bundle.preprocess, SilentProgress())
        pipelines = board.collect_outputs(*what)

    rows = [row for row in report.stages if row.status != "skipped"]
    assert {row.measured_on for row in rows} == {"board"}
    assert all(row.latency_s.p50 and row.memory_bytes.peak and row.accuracy.value is not None for row in rows)
    assert report.machine.architecture == "aarch64"
    assert report.quantization is not None
    assert report.quantization.dialect == "ort-arm"
    assert bundle.manifest["machine"]["architectures"] == ["aarch64", "arm64"]
    assert bundle.manifest["versions"]["onnxruntime"] == report.machine.versions["onnxruntime"] == "1.24.1"

    paths = [str(sample.path) for sample in images]
    there = subprocess.run(
        [*python.split(), str(bundle.root / "run.py"), "--json", *paths], capture_output=True, text=True, check=True
    )
    told = [json.loads(line)["logits"] for line in there.stdout.splitlines()]
    assert len(told) == len(pipelines)
    assert all(np.array_equal(np.array(a, np.float32), b[0]) for a, b in zip(told, pipelines, strict=True))

    here = subprocess.run(
        [sys.executable, str(bundle.root / "run.py"), paths[0]], capture_output=True, text=True, check=False
    )
    assert here.returncode != 0
    assert "this bundle is for aarch64 or arm64" in here.stderr
