"""The tiny network on its way to a device: calibrated, exported in every dialect, and built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from exporters.bundle import Contents
from exporters.ort_cpu.target import ORT_CPU
from pipeline.artifact import Artifact, ArtifactKind
from pipeline.chain.execution import execute
from pipeline.models.build import build_network
from pipeline.models.files import save_network
from pipeline.progress import SilentProgress
from pipeline.quantization.dialects import DIALECTS
from pipeline.stage import Inputs
from pipeline.stages.build import BuildFor
from pipeline.stages.calibrate import Calibrate
from pipeline.stages.export import ExportFor
from pipeline.store import Store
from pipeline.subject import Parts, Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.stage import Stage

    Run = Callable[..., Artifact]


@pytest.fixture(scope="session")
def device_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Where the artifacts of this folder's tests lie; they are there for all tests and may not be changed."""
    return Store(tmp_path_factory.mktemp("device-store"))


@pytest.fixture(scope="session")
def run(session_parts: Parts, device_store: Store) -> Run:
    """Runs a stage on artifacts."""

    def run_stage(stage: Stage, *artifacts: Artifact) -> Artifact:
        inputs = Inputs(artifacts={one.kind: one for one in artifacts}, subject=Subject(parts=session_parts))
        return execute(stage, inputs, device_store, seed=0, progress=SilentProgress()).artifact

    return run_stage


@pytest.fixture(scope="session")
def calibration(session_parts: Parts, device_store: Store, run: Run) -> Artifact:
    """The tiny network with random weights, calibrated on its three colours."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(session_parts.model, classes=3).eval()
    with device_store.workspace() as folder:
        save_network(network, session_parts.model, folder, classes=3)
        saved = device_store.commit(ArtifactKind.NETWORK, folder, {})
    return run(Calibrate(), saved)


@pytest.fixture(scope="session")
def exported(calibration: Artifact, run: Run) -> Artifact:
    """Its float ONNX file, and a Q/DQ file of every dialect there is."""
    return run(ExportFor(dialects=tuple(DIALECTS)), calibration)


@pytest.fixture(scope="session")
def engine(exported: Artifact, run: Run) -> Artifact:
    """Its INT8 engine for the CPU."""
    return run(BuildFor(target="ort-cpu", source="qdq-ort-x86.onnx", precision="int8", builder=ORT_CPU), exported)


@pytest.fixture(scope="session")
def contents(session_parts: Parts) -> Contents:
    """What its bundle holds besides the engine; the model is named as somebody with a folder of their own types it."""
    return Contents(
        model="/home/somebody/networks/net.py:tiny",
        task="classification",
        preprocess=session_parts.preprocess,
        classes=session_parts.dataset.classes,
        provenance={"stages": {"baseline": "0" * 64}, "model": session_parts.model.identity()},
    )
