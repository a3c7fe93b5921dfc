"""The chain on the tiny network, run once for all tests of stages."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from exporters.ort_cpu.target import ORT_CPU
from pipeline.artifact import FLOAT_MODEL, Artifact, ArtifactKind, sha256_of_file
from pipeline.chain.execution import StageResult, execute
from pipeline.data.open import open_dataset
from pipeline.models.resolve import resolve_model
from pipeline.models.source import WeightsSource
from pipeline.preprocess import PreprocessSpec
from pipeline.progress import SilentProgress
from pipeline.stage import Inputs, Stage, Teacher, TrainedNetwork
from pipeline.stages.answers import AskTeacher, TakeAnswers
from pipeline.stages.baseline import Baseline
from pipeline.stages.build import BuildFor
from pipeline.stages.calibrate import Calibrate, CalibrateGraph
from pipeline.stages.distill import Distill
from pipeline.stages.downsample import Downsample
from pipeline.stages.export import ExportFor
from pipeline.stages.import_onnx import ImportOnnx
from pipeline.stages.prune import Prune
from pipeline.store import Store
from pipeline.subject import Parts, Subject
from pipeline.tasks.detection.detection import Detection
from pipeline.training.answers_file import write_shared
from pipeline.training.cached_answers import TeacherAnswers
from pipeline.training.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Short, and long enough for the tiny network to tell its three colours apart.
_SCHEDULE = Schedule(epochs=6, batch_size=8, learning_rate=1e-2, augment=("flip",))
_STAGES: dict[str, Stage] = {
    "baseline": Baseline(schedule=_SCHEDULE),
    "answers": AskTeacher(views=2, augment=("flip",)),
    "distill": Distill(schedule=_SCHEDULE, teacher_schedule=_SCHEDULE),
    "prune": Prune(schedule=_SCHEDULE),
    "calibrate": Calibrate(),
    "export": ExportFor(dialects=("ort-x86", "tensorrt")),
    "build": BuildFor(target="ort-cpu", source="qdq-ort-x86.onnx", precision="int8", builder=ORT_CPU),
}
_SMALLER = Downsample(size=12, schedule=_SCHEDULE)
"""On the baseline, beside the chain, which goes on with images as large as they were."""
_OF_ONNX: dict[str, Stage] = {"baseline of onnx": ImportOnnx(), "calibrate of onnx": CalibrateGraph()}
"""The first stages of a model that comes as an ONNX file: here the one that the chain itself exported."""


_ONCE = Schedule(epochs=1, batch_size=8, learning_rate=1e-3)
_OF_DETECTION: dict[str, Stage] = {
    "baseline": Baseline(schedule=_ONCE, objects_first=False),
    "answers": AskTeacher(views=1),
    "distill": Distill(schedule=_ONCE, teacher_schedule=_ONCE, losses={"pkd": 6.0, "boxes": 1.0}),
    "downsample": Downsample(size=24, schedule=_ONCE),
    "prune": Prune(ratio=0.3, schedule=_ONCE),
    "calibrate": Calibrate(),
    "export": ExportFor(dialects=("ort-x86",)),
    "build": BuildFor(target="ort-cpu", source="qdq-ort-x86.onnx", precision="int8", builder=ORT_CPU),
}
_SIDE = 32
_DETECTOR = """
    from torch import nn
    from torchvision.models.detection import RetinaNet
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    class Body(nn.Sequential):
        out_channels = 16

        def __init__(self):
            super().__init__(nn.Conv2d(3, 16, 3, 4, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3, 2, 1))

    def net(num_classes):
        anchors = AnchorGenerator(sizes=((12,),), aspect_ratios=((1.0,),))
        return RetinaNet(Body(), num_classes, anchor_generator=anchors)
"""


class Reading(Subject):
    """A subject that notes which parts are read of it, in a list that all its restrictions share."""

    noted: list[str]

    def _check(self, part: str) -> None:
        Reading.noted.append(part)
        super()._check(part)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One stage of the chain as it was run."""

    stage: Stage
    parts: Parts
    inputs: Inputs
    result: StageResult
    read: frozenset[str]


def run_chain(parts: Parts, root: Path) -> dict[str, Step]:
    """Every stage once, each on the newest artifacts, into a store of its own below ``root``."""
    store = Store(root)
    steps = _run(_STAGES, parts, store)
    file = steps["export"].result.artifact.path(FLOAT_MODEL)
    of_onnx = _run(_OF_ONNX, replace(parts, model=resolve_model(str(file))), store)
    trained = {"baseline": _STAGES["baseline"]}
    smaller = _run(trained | {"downsample": _SMALLER}, parts, store)
    untrained = replace(parts, dataset=replace(parts.dataset, train=()))
    smaller |= _run({"downsample untrained": _SMALLER}, untrained, store, smaller["baseline"].result.artifact)
    shared = root.with_name(f"{root.name}.safetensors")
    said = TeacherAnswers.load(steps["answers"].result.artifact.root).said(torch.arange(len(parts.dataset.train)), 0)
    write_shared(
        shared,
        said,
        samples=parts.dataset.train,
        classes=parts.dataset.classes,
        model="tiny",
        task="classification",
        preprocess=parts.preprocess,
    )
    taken = TakeAnswers(file=shared, file_sha256=sha256_of_file(shared))
    return {**smaller, **steps, **of_onnx, **_run({"answers of file": taken}, parts, store)}


def _run(stages: Mapping[str, Stage], parts: Parts, store: Store, *before: Artifact) -> dict[str, Step]:
    newest, steps = {artifact.kind: artifact for artifact in before}, {}
    for name, stage in stages.items():
        # The baseline doubles as the teacher: another network's baseline is what a teacher is.
        network = TrainedNetwork(source=parts.model, artifact=newest[stage.gives]) if name == "distill" else None
        teacher = network and Teacher(name="tiny", answers=newest[ArtifactKind.ANSWERS], network=network)
        teachers = (teacher,) if teacher else ()
        inputs = Inputs(artifacts=dict(newest), subject=Reading(parts=parts), teachers=teachers)
        Reading.noted = []
        result = execute(stage, inputs, store, seed=3, progress=SilentProgress())
        steps[name] = Step(
            stage=stage, parts=replace(parts), inputs=inputs, result=result, read=frozenset(Reading.noted)
        )
        newest[stage.gives] = result.artifact
    return steps


@pytest.fixture(scope="session")
def chain(session_parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Step]:
    """Every stage of the chain, run once; its artifacts are there for all tests and may not be changed."""
    return run_chain(session_parts, tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="session")
def chain_again(
    chain: Mapping[str, Step], session_parts: Parts, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Step]:
    """The same chain in another store, when much has been drawn from torch's global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(987)
        torch.rand(10)
        return run_chain(session_parts, tmp_path_factory.mktemp("second"))


@pytest.fixture(scope="session")
def chain_of_detection(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Step]:
    """Every stage once on a detector, which learns nothing in that time."""
    root = tmp_path_factory.mktemp("detection")
    (root / "net.py").write_text(textwrap.dedent(_DETECTOR), encoding="utf-8")
    _write_squares(root / "squares")
    task = Detection()
    parts = Parts(
        model=replace(resolve_model(f"{root / 'net.py'}:net"), task=task.name),
        weights=WeightsSource(origin="scratch", reason="a test"),
        dataset=open_dataset(str(root / "squares"), cache=root / "cache"),
        preprocess=PreprocessSpec(size=(_SIDE, _SIDE)),
        task=task,
    )
    return _run(_OF_DETECTION, parts, Store(root / "store"))


def _write_squares(root: Path) -> None:
    """Images with a red or a green square each, and COCO's JSON of them."""
    draw = np.random.default_rng(0)
    (root / "annotations").mkdir(parents=True)
    for part in ("train", "val"):
        (root / part).mkdir()
        images, annotations = [], []
        for number in range(16):
            pixels = draw.integers(0, 40, (_SIDE, _SIDE, 3)).astype(np.uint8)
            left, top = (int(place) for place in draw.integers(0, _SIDE - 12, 2))
            pixels[top : top + 12, left : left + 12, number % 2] = 230
            Image.fromarray(pixels).save(root / part / f"{number}.png")
            images.append({"id": number, "file_name": f"{number}.png", "width": _SIDE, "height": _SIDE})
            annotations.append(
                {"id": number + 1, "image_id": number, "category_id": number % 2, "bbox": [left, top, 12, 12]}
            )
        categories = [{"id": 0, "name": "red"}, {"id": 1, "name": "green"}]
        document = {"images": images, "annotations": annotations, "categories": categories}
        (root / "annotations" / f"instances_{part}.json").write_text(json.dumps(document), encoding="utf-8")


@pytest.fixture
def inputs(session_parts: Parts) -> Any:  # noqa: ANN401 - a function
    """Makes inputs: the tiny parts with some of them replaced, and the artifacts a stage takes."""

    def make(*artifacts: Artifact, teachers: tuple[Teacher, ...] = (), **changed: Any) -> Inputs:  # noqa: ANN401
        parts = Parts(
            **{
                name: changed.get(name, getattr(session_parts, name))
                for name in ("model", "weights", "dataset", "preprocess", "task")
            }
        )
        return Inputs(
            artifacts={artifact.kind: artifact for artifact in artifacts},
            subject=Subject(parts=parts),
            teachers=teachers,
        )

    return make
