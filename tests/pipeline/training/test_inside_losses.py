"""What a recipe names of losses that look into the networks, and what they then watch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pipeline.errors import UsageError
from pipeline.preprocess import PreprocessSpec
from pipeline.tasks.distillation.teaching import Teaching
from pipeline.training.beside import Beside
from pipeline.training.feature_pairs import FeatureLosses
from pipeline.training.images import Batch
from pipeline.training.inside_losses import inside_losses
from pipeline.training.teacher_pyramids import TeacherPyramids


def _network(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, channels, 3, stride=2), nn.Flatten(), nn.Linear(49 * channels, 3))


class _Images:
    """As much of the training images as is looked at."""

    def first(self, count: int) -> torch.Tensor:
        return torch.zeros(count, 3, 16, 16)


def test_without_such_a_loss_nothing_is_watched() -> None:
    student = _network(4)
    assert inside_losses(Teaching(), student, lambda: [_network(8)], _Images()) is None
    assert not any(module._forward_hooks for module in student.modules())


def test_answers_alone_have_nothing_inside() -> None:
    with pytest.raises(UsageError, match="what is inside can be compared with a teacher's network only"):
        inside_losses(Teaching(losses={"kd": 1.0, "attention": 1.0}), _network(4), list, _Images())


def test_once_released_nothing_is_watched() -> None:
    student = _network(4)
    found = inside_losses(Teaching(losses={"attention": 1.0}), student, lambda: [_network(8)], _Images())
    assert found is not None
    assert [type(part) for part in found.parts] == [FeatureLosses]
    found.release()

    assert not any(module._forward_hooks for module in student.modules())


def test_a_teacher_is_shown_what_the_student_is_fed_as_it_wants_it() -> None:
    ours, theirs = PreprocessSpec(size=16, mean=0.5, std=0.5), PreprocessSpec(size=16)
    pixels = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(one)[:, None, None] for one in (theirs.mean, theirs.std))
    inputs, change = (pixels - 0.5) / 0.5, ours.renormalising(theirs)
    student, teacher, seen = _network(4), _network(8), list[torch.Tensor]()
    teaching = Teaching(losses={"attention": 1.0})
    found = inside_losses(teaching, student, lambda: [teacher], _Images(), [Beside(change=change)])
    teacher[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    student(inputs)
    assert found is not None
    found(Batch(indices=torch.arange(2), inputs=inputs, labels=torch.zeros(2), view=0))
    detector = nn.Module()
    detector.backbone = nn.Identity()
    (levels,) = TeacherPyramids([detector], [change]).of(inputs)

    for shown in (seen[-1], levels["0"]):
        torch.testing.assert_close(shown, (pixels - mean) / std)
    assert theirs.renormalising(theirs) is None
