"""The student's loss: labels and teachers in the proportion asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from pipeline.progress import SilentProgress
from pipeline.tasks.classification import Classification
from pipeline.tasks.distillation.kept_logits import kept_logits
from pipeline.tasks.distillation.teaching import Teaching
from pipeline.training.cached_answers import TeacherAnswers
from pipeline.training.images import Batch, TrainingImages
from pipeline.training.loop import _Step
from pipeline.training.schedule import Schedule
from pipeline.training.student_loss import TaughtLoss

if TYPE_CHECKING:
    from pipeline.data.dataset import Dataset
    from pipeline.preprocess import PreprocessSpec

_TASK = Classification()


@pytest.fixture
def images(tiny_dataset: Dataset, tiny_preprocess: PreprocessSpec) -> TrainingImages:
    return TrainingImages(tiny_dataset.train, tiny_preprocess, SilentProgress(), Classification())


@pytest.fixture
def answers(images: TrainingImages) -> list[TeacherAnswers]:
    """Of two teachers, about two views."""
    generator = torch.Generator().manual_seed(0)
    return [TeacherAnswers(kept_logits(torch.randn(len(images), 2, 3, generator=generator))) for _ in range(2)]


@pytest.fixture
def batch(images: TrainingImages) -> Batch:
    (found,) = images.batches(torch.tensor([50, 3, 17, 90, 0]), 5, view=1)
    return found


@pytest.fixture
def outputs() -> torch.Tensor:
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)


def _loss(answers: list[TeacherAnswers], images: TrainingImages, **fields: Any) -> TaughtLoss:  # noqa: ANN401
    student = nn.Sequential(nn.Flatten(), nn.Linear(768, 3))  # only asked whether it answers with probabilities
    return TaughtLoss(_TASK, student, images, answers, Teaching(temperature=2.5, **fields))


def test_with_weight_0_only_the_labels_count(
    answers: list[TeacherAnswers], images: TrainingImages, batch: Batch, outputs: torch.Tensor
) -> None:
    value = _loss(answers, images, weight=0.0)(outputs, batch)
    torch.testing.assert_close(value, nn.functional.cross_entropy(outputs, batch.labels))


def test_with_weight_1_only_what_the_teachers_say_of_this_view_counts(
    answers: list[TeacherAnswers], images: TrainingImages, batch: Batch, outputs: torch.Tensor
) -> None:
    value = _loss(answers, images, weight=1.0)(outputs, batch)
    said = [one.said(batch.indices, 1) for one in answers]
    wanted = _TASK.distillation_loss(outputs, said, batch, Teaching(temperature=2.5))
    torch.testing.assert_close(value, wanted)
    other = [one.said(batch.indices, 0) for one in answers]
    assert not torch.isclose(value, _TASK.distillation_loss(outputs, other, batch, Teaching(temperature=2.5)))


@pytest.mark.parametrize("weight", [0.25, 0.7])
def test_between_them_the_weight_mixes_both(
    answers: list[TeacherAnswers], images: TrainingImages, batch: Batch, outputs: torch.Tensor, weight: float
) -> None:
    ends = [_loss(answers, images, weight=end)(outputs, batch) for end in (0.0, 1.0)]
    mixed = _loss(answers, images, weight=weight)(outputs, batch)
    torch.testing.assert_close(mixed, (1 - weight) * ends[0] + weight * ends[1])


def test_losses_add_up_with_their_weights(
    answers: list[TeacherAnswers], images: TrainingImages, batch: Batch, outputs: torch.Tensor
) -> None:
    alone = {name: _loss(answers, images, weight=1.0, losses={name: 1.0})(outputs, batch) for name in ("kd", "dist")}
    both = _loss(answers, images, weight=1.0, losses={"kd": 0.5, "dist": 2.0})(outputs, batch)
    torch.testing.assert_close(both, 0.5 * alone["kd"] + 2.0 * alone["dist"])


def test_what_is_inside_the_networks_is_compared_once_however_many_heads_answer(
    answers: list[TeacherAnswers], images: TrainingImages, batch: Batch
) -> None:
    """As of GoogLeNet and Inception, whose auxiliary classifiers answer too while they are trained."""
    asked = []

    class Inside(nn.Module):
        def forward(self, seen: Batch) -> torch.Tensor:
            asked.append(seen)
            return torch.tensor(10.0)

    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(768, 3)

        def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
            said = self.head(inputs.flatten(1))
            return said, said, said

    def value(inside: Any) -> torch.Tensor:  # noqa: ANN401 - in place of InsideLosses
        teaching = Teaching(weight=0.5)
        loss = TaughtLoss(
            _TASK, nn.Sequential(nn.Flatten(), nn.Linear(768, 3)), images, answers, teaching, inside=inside
        )
        whole: Any = SimpleNamespace(batch=batch)
        found: torch.Tensor = _Step(network, images.answers, loss, Schedule(auxiliary_weight=0.3))(whole)
        return found

    network = Heads().train()
    torch.testing.assert_close(value(Inside()), value(None) + 0.5 * 10.0)
    assert asked == [batch]


def test_the_student_learns(
    answers: list[TeacherAnswers], images: TrainingImages, batch: Batch, outputs: torch.Tensor
) -> None:
    _loss(answers, images)(outputs, batch).backward()
    assert outputs.grad is not None
    assert bool(outputs.grad.abs().sum() > 0)
