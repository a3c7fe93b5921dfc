"""Pruning: a smaller network that learns from what it was, and its record."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from pydantic import ValidationError

from pipeline.artifact import Artifact, ArtifactKind
from pipeline.data.dataset import Dataset
from pipeline.errors import DataError, UsageError
from pipeline.models.build import build_network
from pipeline.models.count import count_macs, count_parameters
from pipeline.models.files import load_network, save_network
from pipeline.models.recorded_forms import NoBlock
from pipeline.models.resolve import resolve_model
from pipeline.progress import SilentProgress
from pipeline.stage import Inputs, Made, Teacher, Workspace
from pipeline.stages.prune import Prune
from pipeline.subject import Subject
from pipeline.tasks.classification import Classification
from pipeline.training.images import TrainingImages
from pipeline.training.loop import train
from pipeline.training.schedule import Schedule
from pipeline.training.student_loss import TaughtLoss

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.subject import Parts
    from pipeline.training.curve import Epoch

_SHORT = Schedule(epochs=1, batch_size=16, learning_rate=3e-3)
_LONGER = Schedule(epochs=6, batch_size=8, learning_rate=1e-2, augment=())


class _Told(SilentProgress):
    """Remembers what work was announced."""

    def __init__(self) -> None:
        self.announced: list[str] = []

    def track(self, description: str, total: int, *, even: bool = True) -> Any:  # noqa: ANN401 - the silent one's
        self.announced.append(description)
        return super().track(description, total, even=even)


def _run(stage: Prune, inputs: Inputs, folder: Path, progress: _Told | None = None) -> Made:
    folder.mkdir()
    return stage.run(inputs, Workspace(folder=folder, seed=3, progress=progress or _Told()))


@pytest.fixture
def dense(chain: Mapping[str, Any]) -> Artifact:
    """The network that is pruned."""
    artifact: Artifact = chain["prune"].inputs.artifacts["network"]
    return artifact


def test_the_network_is_smaller_and_its_facts_say_how_much(
    chain: Mapping[str, Any], dense: Artifact, session_parts: Parts
) -> None:
    artifact = chain["prune"].result.artifact
    network = load_network(artifact.root, session_parts.model)
    macs = count_macs(network, (1, 3, 16, 16))
    counted = {name: artifact.facts[name] for name in ("params", "macs")}
    assert counted == {"params": count_parameters(network), "macs": macs}
    assert artifact.facts["params"] < 0.5 * dense.facts["params"]
    assert artifact.facts["macs"] < 0.5 * dense.facts["macs"]


def test_channels_are_multiples_of_round_to(chain: Mapping[str, Any], session_parts: Parts) -> None:
    network = load_network(chain["prune"].result.artifact.root, session_parts.model)
    found = [module.out_channels for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    assert found == [8, 8, 8, 16]


def test_the_pruned_network_still_tells_the_colours_apart(chain: Mapping[str, Any], session_parts: Parts) -> None:
    network = load_network(chain["prune"].result.artifact.root, session_parts.model)
    images = TrainingImages(session_parts.dataset.train, session_parts.preprocess, SilentProgress(), Classification())
    with torch.no_grad():
        said = network.eval()(images.first(len(images))).argmax(dim=1)
    assert float((said == images.labels).double().mean()) > 0.9


def test_every_round_recovers_and_is_announced(inputs: Any, dense: Artifact, tmp_path: Path) -> None:  # noqa: ANN401
    progress = _Told()
    _run(Prune(schedule=_SHORT, rounds=2, round_to=4), inputs(dense), tmp_path / "out", progress)
    recoveries = [text for text in progress.announced if text.startswith("recovering")]
    assert recoveries == ["recovering tiny, pruned (1/2)", "recovering tiny, pruned (2/2)"]


def test_blocks_go_at_once_and_recover_once(inputs: Any, dense: Artifact, tmp_path: Path) -> None:  # noqa: ANN401
    progress = _Told()
    _run(Prune(schedule=_SHORT, rounds=3, ratio=0.0), inputs(dense), tmp_path / "out", progress)
    recoveries = [text for text in progress.announced if text.startswith("recovering")]
    assert recoveries == ["recovering tiny, pruned"]


def test_two_rounds_end_with_as_many_channels_as_one(
    inputs: Any,  # noqa: ANN401
    dense: Artifact,
    session_parts: Parts,
    tmp_path: Path,
) -> None:
    shapes = []
    for rounds in (1, 2):
        folder = tmp_path / str(rounds)
        _run(Prune(schedule=_SHORT, rounds=rounds, round_to=4), inputs(dense), folder)
        state = load_network(folder, session_parts.model).state_dict()
        shapes.append({name: tuple(value.shape) for name, value in state.items()})
    assert shapes[0] == shapes[1]


def test_the_dense_network_is_the_teacher_of_the_pruned_one(
    inputs: Any,  # noqa: ANN401
    chain: Mapping[str, Any],
    dense: Artifact,
    session_parts: Parts,
    tmp_path: Path,
) -> None:
    # With the teacher alone, labels are never looked at: wrong ones change nothing.
    full = session_parts.dataset
    wrong = tuple(
        type(sample)(path=sample.path, name=sample.name, label=(sample.label + 1) % 3, sha256=sample.sha256)
        for sample in full.train
    )
    misled = Dataset(name=full.name, classes=full.classes, train=wrong, calibration=full.calibration, test=full.test)
    stage = Prune(schedule=_SHORT, weight=1.0)
    for name, dataset in (("right", full), ("wrong", misled)):
        _run(stage, inputs(dense, dataset=dataset), tmp_path / name)
    first, second = (load_network(tmp_path / name, session_parts.model).state_dict() for name in ("right", "wrong"))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_the_note_tells_the_parameters_before_and_after(chain: Mapping[str, Any], dense: Artifact) -> None:
    before, after = dense.facts["params"], chain["prune"].result.artifact.facts["params"]
    assert chain["prune"].result.notes[0] == f"parameters {before / 1e6:.2f} M -> {after / 1e6:.2f} M"


def test_without_training_images_it_is_said_what_to_do(
    inputs: Any,  # noqa: ANN401
    dense: Artifact,
    session_parts: Parts,
    tmp_path: Path,
) -> None:
    full = session_parts.dataset
    empty = Dataset(name=full.name, classes=full.classes, train=(), calibration=full.calibration, test=full.test)
    with pytest.raises(DataError, match="there are no training images") as raised:
        _run(Prune(schedule=_SHORT), inputs(dense, dataset=empty), tmp_path / "out")
    assert "--skip distill,prune" in str(raised.value)


@pytest.mark.parametrize(
    "fields",
    [{"ratio": -0.1}, {"ratio": 1}, {"blocks": -1}, {"rounds": 0}, {"round_to": 0}, {"weight": 2}, {"temperature": 0}],
)
def test_a_field_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(fields))):
        Prune.model_validate(fields)


def _pruned(parts: Parts, dense: Artifact, folder: Path, **fields: Any) -> torch.nn.Module:  # noqa: ANN401 - raw input
    stage = Prune.model_validate({"schedule": {"epochs": 1, "batch_size": 32}, **fields})
    inputs = Inputs(artifacts={ArtifactKind.NETWORK: dense}, subject=Subject(parts=parts))
    stage.run(inputs, Workspace(folder=folder, seed=0, progress=SilentProgress()))
    return load_network(folder, parts.model)


@pytest.mark.parametrize("scope", ["layer", "global", "isomorphic"])
@pytest.mark.parametrize("importance", ["l1", "taylor", "random"])
def test_channels_go_by_any_importance_in_any_scope(
    dense: Artifact, session_parts: Parts, tmp_path: Path, importance: str, scope: str
) -> None:
    network = _pruned(session_parts, dense, tmp_path, importance=importance, scope=scope)
    found = [module.out_channels for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    assert all(number % 8 == 0 for number in found)
    assert sum(found) < 16 + 16 + 16 + 32


def test_so_many_channels_stay_as_were_named(dense: Artifact, session_parts: Parts, tmp_path: Path) -> None:
    network = _pruned(session_parts, dense, tmp_path, channels={"widen": 10}, rounds=2)
    found = [module.out_channels for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    assert found == [16, 16, 16, 10]


def _made_of(name: str, parts: Parts, folder: Path, **fields: Any) -> tuple[Made, torch.nn.Module]:  # noqa: ANN401
    """What the stage makes of an untrained network of torchvision's."""
    parts = replace(parts, model=resolve_model(name))
    (folder / "dense").mkdir()
    save_network(build_network(parts.model, classes=3), parts.model, folder / "dense", classes=3)
    network = Artifact.of_folder(ArtifactKind.NETWORK, folder / "dense", {})
    stage = Prune.model_validate({"schedule": {"epochs": 1, "batch_size": 32}, **fields})
    made = _run(stage, Inputs(artifacts={network.kind: network}, subject=Subject(parts=parts)), folder / "out")
    return made, load_network(folder / "out", parts.model)


def test_whole_blocks_go_and_the_note_names_them(session_parts: Parts, tmp_path: Path) -> None:
    made, left = _made_of("mobilenet_v3_small", session_parts, tmp_path, ratio=0, blocks=2)

    gone = [name for name, module in left.named_modules() if isinstance(module, NoBlock)]
    assert len(gone) == 2
    assert "parameters 1.52 M -> " in made.notes[0]
    assert made.notes[1].startswith("left out, with how much each changed what passed it: features.")
    assert all(name in made.notes[1] for name in gone)


def test_what_a_goal_decided_goes_and_nothing_else(session_parts: Parts, tmp_path: Path) -> None:
    decided = Prune(blocks="auto").within({}, ("features.5",)).model_dump(mode="json", include={"blocks", "ratio"})
    _, left = _made_of("mobilenet_v3_small", session_parts, tmp_path, **decided)
    assert [name for name, module in left.named_modules() if isinstance(module, NoBlock)] == ["features.5"]
    assert left.features[0][0].out_channels == 16
    assert Prune().within({"widen": 8}, ()) == Prune(channels={"widen": 8}, blocks=0)


_HEADLESS = """
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x):
        return torch.relu(x + self.conv(x))


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.stem, self.block = nn.Conv2d(3, 8, 3, stride=2), Block()
        self.weight = nn.Parameter(torch.randn(classes, 8))

    def forward(self, x):
        return nn.functional.linear(self.block(torch.relu(self.stem(x))).mean((2, 3)), self.weight)


def headless(num_classes):
    return Net(num_classes)
"""


def test_blocks_go_from_a_network_whose_channels_cannot_be_followed(session_parts: Parts, tmp_path: Path) -> None:
    """No layer answers: the classes are made by a call of a function."""
    (tmp_path / "nets.py").write_text(_HEADLESS, encoding="utf-8")
    model = f"{tmp_path / 'nets.py'}:headless"
    _, left = _made_of(model, session_parts, tmp_path, ratio=0, blocks=1)
    assert isinstance(left.block, NoBlock)


def test_a_layer_to_keep_that_is_not_there_is_told_where_blocks_alone_go(session_parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(_HEADLESS, encoding="utf-8")
    model = f"{tmp_path / 'nets.py'}:headless"
    with pytest.raises(UsageError, match="there is no such layer to keep"):
        _made_of(model, session_parts, tmp_path, ratio=0, blocks=1, keep=("steam",))


def test_where_only_what_is_inside_blocks_goes_a_note_says_so(session_parts: Parts, tmp_path: Path) -> None:
    made, left = _made_of("shufflenet_v2_x0_5", session_parts, tmp_path)

    assert made.notes[1].startswith("channels inside blocks and attention heads went")
    assert left.conv1[0].out_channels == 24
    assert left.stage2[0].branch2[0].out_channels == 8


def test_where_no_loss_compares_answers_the_dense_network_is_asked_nothing(
    dense: Artifact, session_parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And every epoch has a view of its own."""
    asked: list[object] = []
    monkeypatch.setattr("pipeline.training.cached_answers.ask", lambda *given, **_: asked.append(given))
    views: list[int] = []
    real = Schedule.view_of
    monkeypatch.setattr(Schedule, "view_of", lambda self, epoch: views.append(real(self, epoch)) or views[-1])
    schedule = {"epochs": 6, "batch_size": 32}
    _pruned(session_parts, dense, tmp_path, losses={"features": 1.0}, schedule=schedule)
    assert not asked
    assert views == [0, 1, 2, 3, 4, 5]


def test_a_recovery_that_does_harm_is_undone_and_the_note_says_so(
    dense: Artifact, session_parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[dict[str, torch.Tensor]] = []

    def harmful(network: torch.nn.Module, *given: object, **named: object) -> tuple[Epoch, ...]:
        left.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        epochs = train(network, *given, **named)  # type: ignore[arg-type] # as they were given
        torch.nn.init.zeros_(network.head.weight)
        return epochs

    monkeypatch.setattr("pipeline.training.loop.train", harmful)
    stage = Prune.model_validate({"channels": {"widen": 31}, "schedule": {"epochs": 1, "batch_size": 32}})
    made = _run(stage, Inputs(artifacts={dense.kind: dense}, subject=Subject(parts=session_parts)), tmp_path / "out")
    network = load_network(tmp_path / "out", session_parts.model)

    assert made.notes[1].endswith("; it stays as it was before, which was better")
    assert all(torch.equal(tensor, left[0][name]) for name, tensor in network.state_dict().items())


_SHUFFLED = """
from torch import nn


def shuffled(num_classes):
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ChannelShuffle(4), nn.Conv2d(16, 16, 3),
        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, num_classes),
    )
"""


def test_a_note_names_layers_whose_channels_are_taken_in_another_order(session_parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "shuffled.py").write_text(_SHUFFLED, encoding="utf-8")
    made, left = _made_of(f"{tmp_path / 'shuffled.py'}:shuffled", session_parts, tmp_path)

    assert any(note.startswith("channels of 0 stay: a shuffle") for note in made.notes)
    assert [left[place].out_channels for place in (0, 2)] == [16, 8]


def test_more_blocks_than_the_network_has_is_one_error(dense: Artifact, session_parts: Parts, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not so many residual blocks"):
        _pruned(session_parts, dense, tmp_path, blocks=9)


def test_it_tells_how_far_the_network_came_back(inputs: Any, dense: Artifact, tmp_path: Path) -> None:  # noqa: ANN401
    made = _run(Prune(schedule=_LONGER, ratio=0.9, round_to=1), inputs(dense), tmp_path / "out")
    told = made.notes[-1]
    before, after = (float(found) for found in re.findall(r"([\d.]+) % ", told.replace("top1", "")))
    assert told.endswith("on 96 training images")
    assert before < after


def test_teachers_are_learned_from_beside_the_dense_network(
    inputs: Any,  # noqa: ANN401
    chain: Mapping[str, Any],
    dense: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def heard(self: Any, task: Any, network: Any, images: Any, answers: Any, *rest: Any, **more: Any) -> None:  # noqa: ANN401
        asked.append(len(answers))
        original(self, task, network, images, answers, *rest, **more)

    original = TaughtLoss.__init__
    monkeypatch.setattr(TaughtLoss, "__init__", heard)
    teacher = Teacher(name="other", answers=chain["answers"].result.artifact)
    _run(Prune(schedule=_SHORT, teachers="all"), inputs(dense, teachers=(teacher,)), tmp_path / "all")
    _run(Prune(schedule=_SHORT), inputs(dense), tmp_path / "itself")
    assert asked == [2, 1]
