"""What a training promises, in fp16 on a GPU: that it goes on to the same weights, is taught, is judged.

Where there is none, Fabric's scaler is tried on the CPU, so that these tests are known to hold before they meet a GPU.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import nn

from pipeline.progress import SilentProgress
from pipeline.tasks.classification import Classification
from pipeline.tasks.distillation.kept_logits import kept_logits
from pipeline.tasks.distillation.teaching import Teaching
from pipeline.training.cached_answers import TeacherAnswers, ask
from pipeline.training.curve import best_of
from pipeline.training.images import Batch, TrainingImages
from pipeline.training.inside_losses import inside_losses
from pipeline.training.loop import BatchLoss, train
from pipeline.training.schedule import Schedule
from pipeline.training.student_loss import TaughtLoss
from pipeline.training.tensor_file import read_tensors
from pipeline.training.validation import Validation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pipeline.subject import Parts
    from pipeline.training.curve import Epoch


@pytest.fixture(
    params=[
        "cpu",
        pytest.param(
            "cuda",
            marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")],
        ),
    ]
)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where trainings compute; there the same sum is the same each time."""
    name: str = request.param
    if name == "cpu":
        for user in ("loop", "cached_answers"):
            monkeypatch.setattr(
                f"pipeline.training.{user}.fabric_for",
                lambda *_: Fabric(accelerator="cpu", devices=1, plugins=[MixedPrecision("16-mixed", "cpu")]),
            )
    with torch.backends.cudnn.flags(benchmark=False, deterministic=True):
        yield name


@pytest.fixture(scope="module")
def images(session_parts: Parts) -> TrainingImages:
    """96 images of three colours, read once: nothing changes them."""
    train_on, preprocess = session_parts.dataset.train, session_parts.preprocess
    return TrainingImages(train_on, preprocess, SilentProgress(), Classification())


def _network(channels: int = 8) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(3, channels, 3, stride=2),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Flatten(),
            nn.Linear(49 * channels, 3),
        )


def _trained(
    network: nn.Module,
    images: TrainingImages,
    loss: BatchLoss,
    *,
    epochs: int,
    kept: Path | None = None,
    validation: Validation | None = None,
) -> Sequence[Epoch]:
    schedule = Schedule(epochs=epochs, batch_size=24, learning_rate=3e-3, precision="fp16", ema=0.5)
    return train(
        network,
        images,
        schedule,
        loss,
        seed=5,
        progress=SilentProgress(),
        description="a training",
        kept=kept,
        validation=validation,
    )


def _cross_entropy(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
    return nn.functional.cross_entropy(outputs.float(), batch.labels)


def _right(network: nn.Module, images: TrainingImages) -> float:
    with torch.no_grad():
        said = network(images.first(len(images))).argmax(dim=1)
    return float((said == images.labels).double().mean())


class _Killed(Exception):  # noqa: N818 - stands for a signal
    """The training ends here."""


def test_a_killed_training_goes_on_to_the_same_weights_and_scale(
    device: str, images: TrainingImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.training.checkpoint._EVERY_S", 0.0)
    seen, kills = list[str](), [5]

    def loss(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        if kills == [len(seen)]:
            kills.clear()
            raise _Killed
        seen.append(outputs.device.type)
        # Once more than fp16 holds: the step is left out, and the scale is another one from then on.
        return _cross_entropy(outputs, batch) * (1e5 if len(seen) == 3 else 1.0)

    networks = [_network(), _network()]
    for name, network in zip(("killed", "whole"), networks, strict=True):
        (tmp_path / name).mkdir()
        if name == "killed":
            with pytest.raises(_Killed):
                _trained(_network(), images, loss, epochs=2, kept=tmp_path / name)
        else:
            seen.clear()
        _trained(network, images, loss, epochs=2, kept=tmp_path / name)
    assert set(seen) == {device}
    for (name, value), other in zip(networks[0].state_dict().items(), networks[1].state_dict().values(), strict=True):
        assert torch.equal(value, other), name
    killed, whole = (
        json.loads(read_tensors(tmp_path / name / "a-training-training.safetensors")[1]["state"])
        for name in ("killed", "whole")
    )
    assert killed == whole
    assert whole["scaler"]["scale"] == 2.0**15


def test_a_student_learns_from_answers_and_layers(device: str, images: TrainingImages) -> None:
    student, teacher = _network(), _network(16)
    said = nn.functional.one_hot(images.labels, 3).float()[:, None] * 6
    teaching = Teaching(weight=0.9, losses={"kd": 1.0, "features": 0.5, "attention": 0.5})
    inside = inside_losses(teaching, student, lambda: [teacher], images)
    assert inside is not None
    loss = TaughtLoss(Classification(), student, images, [TeacherAnswers(kept_logits(said))], teaching, inside=inside)
    before = [parameter.detach().clone() for parameter in inside.parameters()]
    where = list[str]()
    teacher[0].register_forward_hook(lambda _module, _inputs, output: where.append(output.device.type))
    _trained(student, images, loss, epochs=6)
    inside.release()
    assert set(where) == {device}
    assert {value.device.type for value in (*student.parameters(), *teacher.parameters())} == {"cpu"}
    assert not any(torch.equal(one, other.cpu()) for one, other in zip(before, inside.parameters(), strict=True))
    assert _right(student, images) > 0.9


def test_the_best_checkpoint_is_kept(device: str, images: TrainingImages, session_parts: Parts) -> None:
    class Judge(Validation):
        """Sees what the network answers; says what was decided before."""

        def score(self, network: nn.Module) -> float:
            judged.append({name: value.detach().cpu().clone() for name, value in network.named_parameters()})
            where.add(next(network.parameters()).device.type)
            assert len(self.outputs(network)) == 24
            return scores[len(judged) - 1]

    scores, judged, where = (0.2, 0.9, 0.4), list[dict[str, torch.Tensor]](), set[str]()
    held_back = session_parts.dataset.calibration[:24]
    judge = Judge(held_back, session_parts.preprocess, Classification(), SilentProgress())
    network = _network()
    epochs = _trained(network, images, _cross_entropy, epochs=3, validation=judge)
    assert best_of(epochs) == 1
    assert where == {device}
    for name, value in network.named_parameters():
        assert torch.equal(value, judged[1][name]), name
        assert not torch.equal(value, judged[2][name]), name


def test_teachers_answer_there_and_are_remembered_here(device: str, images: TrainingImages) -> None:
    teacher, where = _network(), list[str]()
    with torch.no_grad():
        wanted = teacher.eval()(images.first(len(images)))
    teacher[0].register_forward_hook(lambda _module, _inputs, output: where.append(output.device.type))
    answers = ask(
        teacher, lambda outputs: outputs, images, views=2, augment=(), batch_size=40, progress=SilentProgress()
    )
    assert set(where) == {device}
    assert {value.device.type for value in teacher.parameters()} == {"cpu"}
    for view in range(2):
        said = answers.said(torch.arange(len(images)), view)["logits"]
        assert said.device.type == "cpu"
        # A GPU may multiply in TF32.
        torch.testing.assert_close(said.float().softmax(dim=1), wanted.softmax(dim=1), atol=1e-2, rtol=0)
