"""The baseline: given weights untouched, and plain training where there are none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from pipeline.artifact import ArtifactKind, sha256_of_file
from pipeline.chain.execution import execute
from pipeline.data.dataset import Dataset
from pipeline.errors import DataError
from pipeline.models.build import build_network
from pipeline.models.files import load_network
from pipeline.models.source import WeightsSource
from pipeline.progress import SilentProgress
from pipeline.stage import Inputs, Made, Workspace
from pipeline.stages.answers import AskTeacher
from pipeline.stages.baseline import Baseline
from pipeline.store import Store
from pipeline.tasks.classification import Classification
from pipeline.tasks.lesson import Lesson
from pipeline.training.images import TrainingImages
from pipeline.training.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.subject import Parts

_SHORT = Schedule(epochs=2, batch_size=16, learning_rate=3e-3)


class _Told(SilentProgress):
    """Remembers what work was announced."""

    def __init__(self) -> None:
        self.announced: list[str] = []
        self.noted: list[str] = []

    def note(self, text: str) -> None:
        self.noted.append(text)

    def track(self, description: str, total: int, *, even: bool = True) -> Any:  # noqa: ANN401 - the silent one's
        self.announced.append(description)
        return super().track(description, total, even=even)


def _run(inputs: Inputs, folder: Path, progress: _Told | None = None, *, schedule: Schedule | None = _SHORT) -> Made:
    folder.mkdir(exist_ok=True)
    work = Workspace(folder=folder, seed=3, progress=progress or _Told())
    return Baseline(schedule=schedule).run(inputs, work)


def _without_training(dataset: Dataset) -> Dataset:
    return Dataset(
        name=dataset.name, classes=dataset.classes, train=(), calibration=dataset.calibration, test=dataset.test
    )


def _given(parts: Parts, file: Path, *, classes: int = 3, origin: Any = "file") -> tuple[nn.Module, WeightsSource]:  # noqa: ANN401
    network = build_network(parts.model, classes=classes)
    torch.save(network.state_dict(), file)
    return network, WeightsSource(origin=origin, file=file, file_sha256=sha256_of_file(file))


def test_without_weights_the_network_is_trained_until_it_tells_the_colours_apart(
    chain: Mapping[str, Any], session_parts: Parts
) -> None:
    network = load_network(chain["baseline"].result.artifact.root, session_parts.model)
    images = TrainingImages(session_parts.dataset.train, session_parts.preprocess, SilentProgress(), Classification())
    with torch.no_grad():
        said = network.eval()(images.first(len(images))).argmax(dim=1)
    assert float((said == images.labels).double().mean()) > 0.9  # a guess is right once in three times


def test_a_training_is_announced_and_noted(inputs: Any, tmp_path: Path) -> None:  # noqa: ANN401
    progress = _Told()
    made = _run(inputs(), tmp_path / "out", progress)
    assert "training tiny" in progress.announced
    assert made.notes == ("tiny: a test", "tiny: trained for 2 epochs on the data")


def test_a_doubt_of_the_task_is_told_before_the_training_and_noted(
    inputs: Any,  # noqa: ANN401
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Classification, "doubt", lambda *_: "too small")
    progress = _Told()
    made = _run(inputs(), tmp_path / "out", progress)
    assert progress.noted == ["tiny: too small"]
    assert made.notes[1] == "tiny: too small"


def test_a_part_learns_its_lesson_first_unless_it_has_weights_or_nobody_wants_it(
    inputs: Any,  # noqa: ANN401
    session_parts: Parts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Here the lesson is the whole: it is trained twice, and is another network than without."""

    def lesson(_: object, network: nn.Module, images: TrainingImages, *, classes: int) -> Lesson:
        assert classes == 3
        assert isinstance(images.labels, torch.Tensor)
        (pixels,) = images.pixels([torch.arange(len(images))])
        return Lesson(network=network, task=Classification(), pixels=pixels, labels=images.labels, told="learned")

    monkeypatch.setattr(Classification, "lesson", lesson)
    backbone = WeightsSource(origin="scratch", backbone=WeightsSource(origin="pretrained", file_sha256="a"))
    announced, weights = [], []
    for number, (first, source) in enumerate(((True, None), (False, None), (True, backbone))):
        progress, folder = _Told(), tmp_path / str(number)
        folder.mkdir()
        work = Workspace(folder=folder, seed=3, progress=progress)
        subject = inputs(weights=source) if source else inputs()
        Baseline(schedule=_SHORT, objects_schedule=_SHORT, objects_first=first).run(subject, work)
        announced.append([text for text in progress.announced if text != "reading training images"])
        weights.append(load_network(folder, session_parts.model).state_dict())

    assert announced == [["a first lesson for tiny", "training tiny"], ["training tiny"], ["training tiny"]]
    same, other = (all(torch.equal(weights[1][key], one[key]) for key in one) for one in (weights[2], weights[0]))
    assert (same, other) == (True, False)


def test_given_weights_are_asked_once_for_all_seeds(
    inputs: Any,  # noqa: ANN401
    session_parts: Parts,
    tmp_path: Path,
) -> None:
    store, found = Store(tmp_path / "store"), []
    _, weights = _given(session_parts, tmp_path / "given.pth")
    subject = inputs(weights=weights).subject
    for seed in (0, 1):
        taken = Inputs(artifacts={}, subject=subject)
        network = execute(Baseline(), taken, store, seed=seed, progress=SilentProgress()).artifact
        asked = Inputs(artifacts={ArtifactKind.NETWORK: network}, subject=subject)
        found.append(execute(AskTeacher(views=1), asked, store, seed=seed, progress=SilentProgress()).status)
    assert found == ["ran", "cached"]


def test_given_weights_are_kept_to_the_bit_and_nothing_is_trained(
    inputs: Any,  # noqa: ANN401
    session_parts: Parts,
    tmp_path: Path,
) -> None:
    given, weights = _given(session_parts, tmp_path / "w.pth")
    progress = _Told()
    made = _run(inputs(weights=weights), tmp_path / "out", progress)
    state = load_network(tmp_path / "out", session_parts.model).state_dict()
    assert all(torch.equal(value, state[name]) for name, value in given.state_dict().items())
    assert progress.announced == []
    assert made.notes == ()


def test_given_weights_need_no_training_images(inputs: Any, session_parts: Parts, tmp_path: Path) -> None:  # noqa: ANN401
    _, weights = _given(session_parts, tmp_path / "w.pth")
    made = _run(inputs(weights=weights, dataset=_without_training(session_parts.dataset)), tmp_path / "out")
    assert made.facts["params"] > 0


def test_pretrained_weights_with_a_new_head_are_trained_on(inputs: Any, session_parts: Parts, tmp_path: Path) -> None:  # noqa: ANN401
    _, weights = _given(session_parts, tmp_path / "w.pth", classes=9, origin="pretrained")
    made = _run(inputs(weights=weights), tmp_path / "out")
    assert made.notes == ("tiny: new head for 3 classes", "tiny: trained for 2 epochs on the data")


def test_with_neither_weights_nor_training_images_it_is_said_what_to_do(
    inputs: Any,  # noqa: ANN401
    session_parts: Parts,
    tmp_path: Path,
) -> None:
    with pytest.raises(DataError, match="there are no training images"):
        _run(inputs(dataset=_without_training(session_parts.dataset)), tmp_path / "out")


def test_without_a_schedule_of_its_own_it_trains_by_the_default_one(inputs: Any, tmp_path: Path) -> None:  # noqa: ANN401
    made = _run(inputs(), tmp_path / "out", schedule=None)
    assert made.notes[-1] == f"tiny: trained for {Schedule().epochs} epochs on the data"


def test_the_network_is_written_with_the_builder_it_came_from(chain: Mapping[str, Any], session_parts: Parts) -> None:
    document = json.loads(chain["baseline"].result.artifact.path("architecture.json").read_text(encoding="utf-8"))
    assert document["builder"] == session_parts.model.identity()
    assert document["classes"] == 3
