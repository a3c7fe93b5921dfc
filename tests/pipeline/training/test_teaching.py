"""The student's loss: labels and teachers in the proportion asked for, whoever remembers the teachers' answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from pipeline.progress import SilentProgress
from pipeline.tasks.classification import Classification
from pipeline.training.images import TrainingImages
from pipeline.training.loop import Batch, BatchLoss
from pipeline.training.schedule import Schedule
from pipeline.training.teaching import taught_loss

if TYPE_CHECKING:
    from pipeline.data.dataset import Dataset
    from pipeline.preprocess import PreprocessSpec

_TASK = Classification()
_TEMPERATURE = 2.5


@pytest.fixture
def images(tiny_dataset: Dataset, tiny_preprocess: PreprocessSpec) -> TrainingImages:
    return TrainingImages(tiny_dataset.train, tiny_preprocess, SilentProgress())


@pytest.fixture
def teachers() -> list[nn.Module]:
    """Two that look at every pixel, so that a mirrored image gets another answer; one would answer at random."""
    torch.manual_seed(0)
    return [nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(3 * 16 * 16, 3)).train() for _ in range(2)]


@pytest.fixture
def batch(images: TrainingImages) -> Batch:
    return Batch(*next(images.batches(torch.tensor([50, 3, 17, 90, 0]), 5)))


@pytest.fixture
def outputs() -> torch.Tensor:
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)


def _loss(
    teachers: list[nn.Module], images: TrainingImages, *, weight: float = 0.7, schedule: Schedule | None = None
) -> BatchLoss:
    return taught_loss(
        _TASK,
        teachers[0],  # only asked whether it answers with probabilities
        teachers,
        images,
        schedule or Schedule(),
        weight=weight,
        temperature=_TEMPERATURE,
        progress=SilentProgress(),
    )


def _said(teachers: list[nn.Module], inputs: torch.Tensor) -> list[torch.Tensor]:
    with torch.no_grad():
        return [teacher.eval()(inputs) for teacher in teachers]


def test_with_weight_0_only_the_labels_count(
    teachers: list[nn.Module], images: TrainingImages, batch: Batch, outputs: torch.Tensor
) -> None:
    value = _loss(teachers, images, weight=0.0)(outputs, batch)
    torch.testing.assert_close(value, nn.functional.cross_entropy(outputs, batch.labels))


def test_with_weight_1_only_the_teachers_count(
    teachers: list[nn.Module], images: TrainingImages, batch: Batch, outputs: torch.Tensor
) -> None:
    value = _loss(teachers, images, weight=1.0)(outputs, batch)
    wanted = _TASK.distillation_loss(outputs, _said(teachers, batch.inputs), temperature=_TEMPERATURE)
    torch.testing.assert_close(value, wanted)


@pytest.mark.parametrize("weight", [0.25, 0.7])
def test_between_them_the_weight_mixes_both(
    teachers: list[nn.Module], images: TrainingImages, batch: Batch, outputs: torch.Tensor, weight: float
) -> None:
    ends = [_loss(teachers, images, weight=end)(outputs, batch) for end in (0.0, 1.0)]
    mixed = _loss(teachers, images, weight=weight)(outputs, batch)
    torch.testing.assert_close(mixed, (1 - weight) * ends[0] + weight * ends[1])


def test_answers_kept_equal_answers_asked_for(
    teachers: list[nn.Module], images: TrainingImages, batch: Batch, outputs: torch.Tensor
) -> None:
    # A schedule with augmentation asks at every batch; the batch here is as the images are.
    kept = _loss(teachers, images)(outputs, batch)
    asked = _loss(teachers, images, schedule=Schedule(augment=("flip",)))(outputs, batch)
    torch.testing.assert_close(kept, asked)


def test_without_augmentation_every_teacher_is_asked_once_for_every_image(
    teachers: list[nn.Module], images: TrainingImages, batch: Batch, outputs: torch.Tensor
) -> None:
    asked = [0]

    def count(_module: nn.Module, inputs: tuple[torch.Tensor], _output: torch.Tensor) -> None:
        asked[0] += len(inputs[0])

    teachers[0].register_forward_hook(count)
    loss = _loss(teachers, images)
    for _ in range(3):
        loss(outputs, batch)
    assert asked[0] == len(images) + 2 * 4  # as student and as teacher it was asked what its answers are


def test_with_augmentation_the_teachers_see_what_the_student_sees(
    teachers: list[nn.Module], images: TrainingImages, batch: Batch, outputs: torch.Tensor
) -> None:
    mirrored = Batch(batch.indices, batch.inputs.flip(-1), batch.labels)
    value = _loss(teachers, images, weight=1.0, schedule=Schedule(augment=("flip",)))(outputs, mirrored)
    wanted = _TASK.distillation_loss(outputs, _said(teachers, mirrored.inputs), temperature=_TEMPERATURE)
    torch.testing.assert_close(value, wanted)
    assert not torch.isclose(value, _loss(teachers, images, weight=1.0)(outputs, batch))


@pytest.mark.parametrize("augment", [(), ("flip",)])
def test_the_student_learns_and_the_teachers_do_not(
    teachers: list[nn.Module],
    images: TrainingImages,
    batch: Batch,
    outputs: torch.Tensor,
    augment: tuple[str, ...],
) -> None:
    _loss(teachers, images, schedule=Schedule.model_validate({"augment": augment}))(outputs, batch).backward()
    assert outputs.grad is not None
    assert bool(outputs.grad.abs().sum() > 0)
    assert all(parameter.grad is None for teacher in teachers for parameter in teacher.parameters())
