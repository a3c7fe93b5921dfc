"""What many tests share: a network that trains in a second, images it can tell apart, and stores of their own."""

from __future__ import annotations

import gc
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from exporters.ort_cpu.target import ORT_CPU
from pipeline.artifact import Artifact, ArtifactKind
from pipeline.chain.execution import execute
from pipeline.data.open import open_dataset
from pipeline.models.resolve import resolve_model
from pipeline.models.source import ModelSource, WeightsSource
from pipeline.preprocess import PreprocessSpec
from pipeline.progress import SilentProgress
from pipeline.quantization.dialects import DIALECTS
from pipeline.recipe import Recipe
from pipeline.runner.speedup import Speedup
from pipeline.stage import Inputs
from pipeline.stages.build import BuildFor
from pipeline.stages.calibrate import Calibrate
from pipeline.stages.export import ExportFor
from pipeline.store import Store
from pipeline.subject import Parts, Subject
from pipeline.tasks.classification import Classification
from pipeline.threads import rest_between_work

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.data.dataset import Dataset
    from pipeline.stage import Stage

    Run = Callable[..., Artifact]

rest_between_work()  # before torch is loaded, which no import above does
gc.set_threshold(20_000, 10, 20)  # a twentieth of the tests' time is saved by looking for garbage less often

TINY_SIZE = 16
TINY_CLASSES = ("blue", "green", "red")


def pytest_collection_finish() -> None:
    """What is imported and collected lives as long as the process: no garbage is looked for among it."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees or touches the user's store, nor the network."""
    monkeypatch.setenv("EDGEWRIGHT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def given_speedup(monkeypatch: pytest.MonkeyPatch) -> None:
    """How much faster a run's network became is given, and recorded nowhere: a busy machine is asked anew each time."""
    monkeypatch.setattr("pipeline.runner.publish.speedup", lambda *_: Speedup(ratio=2.0, low=1.9, high=2.1))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "cache")


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file: ``:tiny`` has convolutions, a residual add, a depthwise layer and arithmetic on shapes."""
    file = tmp_path_factory.mktemp("model") / "net.py"
    source = """
        from torch import nn


        class Tiny(nn.Module):
            def __init__(self, num_classes):
                super().__init__()
                self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
                self.body = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16))
                self.depth = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.ReLU6())
                self.widen = nn.Conv2d(16, 32, 1, stride=2)
                self.head = nn.Linear(32, num_classes)

            def forward(self, x):
                x = self.stem(x)
                x = nn.functional.relu(x + self.body(x))
                x = nn.functional.relu(self.widen(self.depth(x)))
                batch, channels = x.shape[0], x.shape[1]
                x = x.reshape(batch, channels, x.shape[2] * x.shape[3]).mean(dim=2)
                return self.head(x)


        def tiny(num_classes):
            return Tiny(num_classes)
    """
    file.write_text(textwrap.dedent(source), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``train/`` and ``val/`` with three colours under noise, 16x16 pixels."""
    root = tmp_path_factory.mktemp("data") / "colours"
    generator = np.random.default_rng(0)
    for part, count in (("train", 40), ("val", 24)):
        for channel, name in enumerate(reversed(TINY_CLASSES)):
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 120, (TINY_SIZE, TINY_SIZE, 3))
                pixels[:, :, channel] += 100
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:03}.png")
    return root


@pytest.fixture
def tiny_model(tiny_file: Path) -> ModelSource:
    """The tiny network's source."""
    return resolve_model(f"{tiny_file}:tiny")


@pytest.fixture
def tiny_preprocess() -> PreprocessSpec:
    """What the tiny network takes."""
    return PreprocessSpec(size=(TINY_SIZE, TINY_SIZE), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


@pytest.fixture(scope="session")
def tiny_dataset(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The colours as a data set: 96 train, 24 calibration, 72 test images."""
    return open_dataset(str(tiny_data), cache=tmp_path_factory.mktemp("data-cache"))


@pytest.fixture
def tiny_parts(tiny_model: ModelSource, tiny_dataset: Dataset, tiny_preprocess: PreprocessSpec) -> Parts:
    """Everything a tiny run is about."""
    return Parts(
        model=tiny_model,
        weights=WeightsSource(origin="scratch", reason="a test"),
        dataset=tiny_dataset,
        preprocess=tiny_preprocess,
        task=Classification(),
    )


@pytest.fixture(scope="session")
def session_parts(tiny_file: Path, tiny_dataset: Dataset) -> Parts:
    """The same for a whole session."""
    return Parts(
        model=resolve_model(f"{tiny_file}:tiny"),
        weights=WeightsSource(origin="scratch", reason="a test"),
        dataset=tiny_dataset,
        preprocess=PreprocessSpec(size=(TINY_SIZE, TINY_SIZE), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
        task=Classification(),
    )


@pytest.fixture
def tiny_subject(tiny_parts: Parts) -> Subject:
    """The tiny parts with everything readable."""
    return Subject(parts=tiny_parts)


@pytest.fixture(scope="session")
def tiny_recipe(tiny_file: Path, tiny_data: Path) -> Recipe:
    """A whole run on the tiny network: one epoch of everything, few samples."""
    network = f"{tiny_file}:tiny"
    once = {"epochs": 1, "batch_size": 16}
    return Recipe.model_validate(
        {
            "model": network,
            "data": {"source": str(tiny_data)},
            "input": {"size": TINY_SIZE, "resize": "squash", "mean": 0.5, "std": 0.25},
            "baseline": {"schedule": {**once, "epochs": 2}},
            "distill": {"teachers": [network], "schedule": once, "teacher_schedule": once},
            "prune": {"schedule": once},
            "build": {"precision": "int8", "budget_s": 0},
            "measure": {"processes": 1, "iterations": 12},
        }
    )


@pytest.fixture(scope="session")
def device_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Where the artifacts of the tiny network lie; they are there for all tests and may not be changed."""
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
    import torch

    from pipeline.models.build import build_network
    from pipeline.models.files import save_network

    with torch.random.fork_rng(devices=[]):
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
