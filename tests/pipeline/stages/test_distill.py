"""Distillation: the student starts where the baseline started and comes to say what its teachers say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from pipeline.artifact import Artifact, ArtifactKind
from pipeline.data.dataset import Dataset
from pipeline.errors import DataError
from pipeline.models.build import build_network
from pipeline.models.files import load_network, save_network
from pipeline.progress import SilentProgress
from pipeline.stage import Inputs, Made, Teacher, TrainedNetwork, Workspace
from pipeline.stages.answers import AskTeacher
from pipeline.stages.baseline import Baseline
from pipeline.stages.distill import Distill
from pipeline.subject import Parts, Subject
from pipeline.tasks.classification import Classification
from pipeline.training.images import TrainingImages
from pipeline.training.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SHORT = Schedule(epochs=2, batch_size=16, learning_rate=3e-3)


def _run(stage: Distill | Baseline, inputs: Inputs, folder: Path) -> Made:
    folder.mkdir()
    return stage.run(inputs, Workspace(folder=folder, seed=3, progress=SilentProgress()))


def _teacher(name: str, parts: Parts, network: Artifact, folder: Path) -> Teacher:
    """The network, asked about the images as they are."""
    folder.mkdir()
    inputs = Inputs(artifacts={ArtifactKind.NETWORK: network}, subject=Subject(parts=parts))
    AskTeacher(views=1).run(inputs, Workspace(folder=folder, seed=0, progress=SilentProgress()))
    answers = Artifact.of_folder(ArtifactKind.ANSWERS, folder, {})
    return Teacher(name=name, answers=answers, network=TrainedNetwork(source=parts.model, artifact=network))


@pytest.fixture
def teacher(chain: Mapping[str, Any], session_parts: Parts, tmp_path: Path) -> Teacher:
    """The chain's baseline, as a teacher."""
    return _teacher("tiny", session_parts, chain["baseline"].result.artifact, tmp_path / "asked")


@pytest.fixture
def stubborn(session_parts: Parts, tmp_path: Path) -> Teacher:
    """A teacher that calls every image green, whatever its label."""
    network = build_network(session_parts.model, classes=3)
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.copy_(torch.tensor([0.0, 30.0, 0.0]))
    folder = tmp_path / "stubborn"
    folder.mkdir()
    save_network(network, session_parts.model, folder, classes=3)
    network = Artifact.of_folder(ArtifactKind.NETWORK, folder, {})
    return _teacher("stubborn", session_parts, network, tmp_path / "stubborn says")


def _said(folder: Path, parts: Parts) -> torch.Tensor:
    """The class a stored network calls each training image."""
    images = TrainingImages(parts.dataset.train, parts.preprocess, SilentProgress(), Classification())
    network = load_network(folder, parts.model)
    with torch.no_grad():
        return network.eval()(images.first(len(images))).argmax(dim=1)


def test_with_the_teachers_alone_the_student_says_what_they_say_and_not_what_the_labels_say(
    inputs: Any,  # noqa: ANN401
    session_parts: Parts,
    stubborn: Teacher,
    tmp_path: Path,
) -> None:
    _run(Distill(schedule=_SHORT, weight=1.0), inputs(teachers=(stubborn,)), tmp_path / "out")
    assert bool((_said(tmp_path / "out", session_parts) == 1).all())


def test_without_the_teachers_share_it_is_the_baselines_training_to_the_bit(
    inputs: Any,  # noqa: ANN401
    session_parts: Parts,
    stubborn: Teacher,
    tmp_path: Path,
) -> None:
    # So that what distillation gains is the teachers' doing: same start, same order, same augmentation.
    schedule = Schedule(epochs=2, batch_size=16, augment=("flip", "shift"))
    _run(Distill(schedule=schedule, weight=0.0), inputs(teachers=(stubborn,)), tmp_path / "distilled")
    _run(Baseline(schedule=schedule), inputs(), tmp_path / "baseline")
    first, second = (load_network(tmp_path / name, session_parts.model) for name in ("distilled", "baseline"))
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())


def test_with_nobody_to_learn_from_it_is_the_baselines_training_to_the_bit(
    inputs: Any,  # noqa: ANN401
    session_parts: Parts,
    tmp_path: Path,
) -> None:
    schedule = Schedule(epochs=2, batch_size=16, augment=("flip", "shift"), views=2)
    made = _run(
        Distill(teachers=("resnet18",), losses={"attention": 1.0}, schedule=schedule).untaught(),
        inputs(),
        tmp_path / "alone",
    )
    _run(Baseline(schedule=schedule), inputs(), tmp_path / "baseline")
    first, second = (load_network(tmp_path / name, session_parts.model) for name in ("alone", "baseline"))
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())
    assert made.notes == ("tiny: trained for 2 epochs on the data",)


def test_only_what_decides_a_training_without_teachers_is_left_of_it() -> None:
    one = Distill(teachers=("resnet18",), temperature=2.0, losses={"dist": 1.0}, schedule=_SHORT)
    assert one.untaught() == Distill(teachers=("vgg16",), weight=0.9, schedule=_SHORT).untaught()
    assert one.untaught() != Distill(schedule=Schedule(epochs=3)).untaught()


def test_the_student_tells_the_colours_apart(chain: Mapping[str, Any], session_parts: Parts) -> None:
    labels = torch.tensor([sample.label for sample in session_parts.dataset.train])
    said = _said(chain["distill"].result.artifact.root, session_parts)
    assert float((said == labels).double().mean()) > 0.9


def test_all_teachers_are_named_in_the_note(
    inputs: Any,  # noqa: ANN401
    teacher: Teacher,
    stubborn: Teacher,
    tmp_path: Path,
) -> None:
    made = _run(Distill(schedule=_SHORT), inputs(teachers=(teacher, stubborn)), tmp_path / "out")
    assert made.notes == ("learned from tiny and stubborn",)


def test_the_facts_are_the_students(chain: Mapping[str, Any]) -> None:
    # Distillation changes weights, not the network: it has the size of the baseline.
    taught, untaught = (chain[name].result.artifact.facts for name in ("distill", "baseline"))
    assert [taught[name] for name in ("params", "macs")] == [untaught[name] for name in ("params", "macs")]


def test_the_facts_tell_the_curve(chain: Mapping[str, Any]) -> None:
    (curve,) = chain["distill"].result.artifact.facts["training"]
    losses = [epoch["loss"] for epoch in curve["epochs"]]
    assert losses[-1] < losses[0]
    assert curve["best"] is None  # no images were held back


def test_the_teachers_are_not_changed_while_they_are_listened_to(
    inputs: Any,  # noqa: ANN401
    session_parts: Parts,
    stubborn: Teacher,
    tmp_path: Path,
) -> None:
    before = load_network(stubborn.network.artifact.root, session_parts.model).state_dict()
    _run(Distill(schedule=_SHORT), inputs(teachers=(stubborn,)), tmp_path / "out")
    after = load_network(stubborn.network.artifact.root, session_parts.model).state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_without_training_images_it_is_said_what_to_do(
    inputs: Any,  # noqa: ANN401
    session_parts: Parts,
    teacher: Teacher,
    tmp_path: Path,
) -> None:
    full = session_parts.dataset
    empty = Dataset(name=full.name, classes=full.classes, train=(), calibration=full.calibration, test=full.test)
    with pytest.raises(DataError, match="there are no training images"):
        _run(Distill(schedule=_SHORT), inputs(teachers=(teacher,), dataset=empty), tmp_path / "out")


@pytest.mark.parametrize("fields", [{"weight": 1.1}, {"weight": -0.1}, {"temperature": 0}, {"teachers": ()}])
def test_a_field_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(fields))):
        Distill.model_validate(fields)


def test_a_student_may_differ_from_its_teacher(
    inputs: Any,  # noqa: ANN401
    session_parts: Parts,
    tmp_path: Path,
) -> None:
    from pipeline.models.resolve import resolve_model

    (tmp_path / "other.py").write_text(
        "from torch import nn\n\n\n"
        "def wide(num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(768, 40), nn.ReLU(), nn.Linear(40, num_classes))\n",
        encoding="utf-8",
    )
    source = resolve_model(f"{tmp_path / 'other.py'}:wide")
    folder = tmp_path / "teacher"
    folder.mkdir()
    network: nn.Module = build_network(source, classes=3)
    save_network(network, source, folder, classes=3)
    trained = Artifact.of_folder(ArtifactKind.NETWORK, folder, {})
    other = _teacher("wide", replace(session_parts, model=source), trained, tmp_path / "asked")
    made = _run(Distill(schedule=_SHORT), inputs(teachers=(other,)), tmp_path / "out")
    assert made.notes == ("learned from wide",)
    assert load_network(tmp_path / "out", session_parts.model).head.out_features == 3
