"""Feature pyramids of student and teacher: paired by resolution, compared by correlation."""

from __future__ import annotations

from collections import OrderedDict
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.errors import UsageError
from pipeline.tasks.distillation.teaching import Teaching
from pipeline.training.images import Batch
from pipeline.training.inside_losses import inside_losses
from pipeline.training.pyramid_losses import PyramidLosses, pairs_of_levels
from pipeline.training.teacher_pyramids import TeacherPyramids


class _Backbone(nn.Module):
    """A level at every stride of 2, of so many channels."""

    def __init__(self, *channels: int, first: int = 2) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=first if number == 0 else 2, padding=1)
            for number, (before, after) in enumerate(zip((3, *channels), channels, strict=False))
        )

    def forward(self, images: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        levels = OrderedDict()
        for number, layer in enumerate(self.layers):
            images = layer(images)
            levels[f"level {number}"] = images
        return levels


class _Detector(nn.Module):
    def __init__(self, *channels: int, first: int = 2) -> None:
        super().__init__()
        self.backbone = _Backbone(*channels, first=first)

    def forward(self, images: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        return self.backbone(images)


@pytest.fixture
def batch() -> Batch:
    inputs = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return Batch(indices=torch.arange(4), inputs=inputs, labels=torch.zeros(4), view=0)


def test_levels_of_one_resolution_are_a_pair_and_one_without_a_pattern_is_none() -> None:
    ours = {"a": torch.zeros(1, 8, 8, 8), "b": torch.zeros(1, 4, 4, 4), "c": torch.zeros(1, 4, 1, 1)}
    theirs = {"0": torch.zeros(1, 6, 4, 4), "1": torch.zeros(1, 5, 4, 4), "2": torch.zeros(1, 5, 1, 1)}
    (pair,) = pairs_of_levels(ours, theirs)

    assert (pair.student, pair.teacher, pair.channels) == ("b", "1", (4, 5))


def test_pyramids_without_a_common_resolution_are_refused() -> None:
    with pytest.raises(UsageError, match="no level of the same resolution"):
        pairs_of_levels({"0": torch.zeros(1, 4, 8, 8)}, {"0": torch.zeros(1, 4, 5, 5)})


def test_it_is_one_minus_the_correlation_added_up_over_the_levels(batch: Batch) -> None:
    student, teacher = _Detector(4, 6, 5), _Detector(8, 6, 5)
    losses = PyramidLosses(student, TeacherPyramids([teacher]), batch.inputs, 2.0)
    student(batch.inputs)
    found = losses(batch).item()

    with torch.no_grad():
        ours, theirs = (list(network(batch.inputs).values()) for network in (student, teacher))
        ours[0] = losses.projections[0](ours[0])
    wanted = 0.0
    for one, other in zip(ours, theirs, strict=True):
        rows = zip(one.transpose(0, 1), other.transpose(0, 1), strict=True)
        wanted += 1 - np.mean([np.corrcoef(a.numpy().ravel(), b.numpy().ravel())[0, 1] for a, b in rows])
    assert found == pytest.approx(2.0 * wanted, rel=1e-3)


def test_only_where_channels_differ_a_projection_is_learned(batch: Batch) -> None:
    losses = PyramidLosses(_Detector(4, 6), TeacherPyramids([_Detector(8, 6)]), batch.inputs, 1.0)

    assert [tuple(one.shape) for one in losses.parameters()] == [(8, 4, 1, 1)]


def test_a_network_beside_itself_has_nothing_to_learn(batch: Batch) -> None:
    network = _Detector(4, 6)
    losses = PyramidLosses(network, TeacherPyramids([network]), batch.inputs, 1.0)
    network(batch.inputs)

    assert losses(batch).item() == pytest.approx(0, abs=1e-5)


def test_the_student_and_the_projection_learn_and_the_teacher_does_not(batch: Batch) -> None:
    student, teacher = _Detector(4, 6), _Detector(8, 10)
    losses = PyramidLosses(student, TeacherPyramids([teacher]), batch.inputs, 1.0)
    student.train()(batch.inputs)
    losses(batch).backward()

    assert all(bool(one.grad.abs().sum() > 0) for one in losses.parameters())
    assert bool(student.backbone.layers[0].weight.grad.abs().sum() > 0)
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_projections_start_alike_and_leave_the_global_generator_as_it_was(batch: Batch) -> None:
    student, teacher = _Detector(4, 6), _Detector(8, 10)
    before = torch.random.get_rng_state()
    first = PyramidLosses(student, TeacherPyramids([teacher]), batch.inputs, 1.0)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.randn(5)
    second = PyramidLosses(student, TeacherPyramids([teacher]), batch.inputs, 1.0)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_copy_of_the_student_takes_no_teachers_with_it(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A moving average is one."""
    student = _Detector(4, 6)
    losses = PyramidLosses(student, TeacherPyramids([_Detector(4, 8)]), batch.inputs, 1.0)

    def copied(*_: object) -> None:
        raise AssertionError("teachers are copied")

    monkeypatch.setattr(TeacherPyramids, "__deepcopy__", copied, raising=False)
    copy = deepcopy(student)
    assert copy is not student
    student(batch.inputs)
    assert losses(batch).item() > 0


def test_once_released_the_student_is_watched_no_longer(batch: Batch) -> None:
    student = _Detector(4)
    PyramidLosses(student, TeacherPyramids([_Detector(8)]), batch.inputs, 1.0).release()

    assert not any(module._forward_hooks for module in student.modules())


def test_once_released_the_teachers_are_where_the_next_training_looks_for_them(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, teacher, places = _Detector(4), _Detector(8), list[str]()
    losses = PyramidLosses(student, TeacherPyramids([teacher]), batch.inputs, 1.0)
    monkeypatch.setattr(teacher, "to", lambda device: places.append(str(device)) or teacher)
    losses.release()
    assert places == ["cpu"]


def test_a_network_without_a_pyramid_is_refused(batch: Batch) -> None:
    with pytest.raises(UsageError, match="no feature pyramid"):
        PyramidLosses(nn.Sequential(nn.Conv2d(3, 4, 3)), TeacherPyramids([_Detector(8)]), batch.inputs, 1.0)


class _Images:
    """As much of the training images as is looked at."""

    def first(self, count: int) -> torch.Tensor:
        return torch.zeros(count, 3, 16, 16)


def test_it_is_what_a_recipe_calls_pkd() -> None:
    teaching = Teaching(losses={"pkd": 3.0, "boxes": 1.0})
    found = inside_losses(teaching, _Detector(4), lambda: [_Detector(8)], _Images())

    assert found is not None
    assert [type(part) for part in found.parts] == [PyramidLosses]


def test_each_teacher_has_its_share(batch: Batch) -> None:
    student, teachers = _Detector(4, 6), [_Detector(4, 6), _Detector(4, 6)]
    first, second = (PyramidLosses(student, TeacherPyramids([one]), batch.inputs, 2.0) for one in teachers)
    both = PyramidLosses(student, TeacherPyramids(teachers), batch.inputs, 2.0, [0.75, 0.25])
    student(batch.inputs)
    assert both(batch).item() == pytest.approx(0.75 * first(batch).item() + 0.25 * second(batch).item())
    assert first(batch).item() != pytest.approx(second(batch).item())
