"""Losses inside the networks: layers paired by resolution, compared by the papers' formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.errors import UsageError
from pipeline.training.feature_pairs import FeatureLosses, attention, pairs_by_resolution
from pipeline.training.images import Batch


def _network(*channels: int, stride: int = 2) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in zip((3, *channels), channels, strict=False):
        layers += [nn.Conv2d(before, after, 3, stride=stride, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels[-1], 3))


@pytest.fixture
def batch() -> Batch:
    inputs = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return Batch(indices=torch.arange(4), inputs=inputs, labels=torch.tensor([0, 1, 2, 0]), view=0)


def test_the_last_layers_of_each_common_resolution_are_a_pair(batch: Batch) -> None:
    pairs = pairs_by_resolution(_network(4, 6), _network(8, 10, 12), batch.inputs)
    assert [(pair.student, pair.teacher, pair.channels) for pair in pairs] == [
        ("1", "1", (4, 8)),
        ("3", "3", (6, 10)),
    ]


def test_networks_without_a_common_resolution_are_refused(batch: Batch) -> None:
    with pytest.raises(UsageError, match="no layers of the same resolution"):
        pairs_by_resolution(_network(4, 6), _network(4, stride=3), batch.inputs)


def test_looking_for_pairs_leaves_no_hooks(batch: Batch) -> None:
    network = _network(4, 6)
    pairs_by_resolution(network, network, batch.inputs)
    assert not any(module._forward_hooks for module in network.modules())


def test_attention_is_the_normalised_map_of_squares() -> None:
    features = np.random.default_rng(0).standard_normal((2, 5, 3, 4))
    maps = (features**2).sum(axis=1).reshape(2, 12)
    wanted = maps / np.linalg.norm(maps, axis=1, keepdims=True)
    np.testing.assert_allclose(attention(torch.from_numpy(features)).numpy(), wanted)


def test_a_network_beside_itself_looks_where_it_looks(batch: Batch) -> None:
    network = _network(4, 6)
    losses = FeatureLosses(network, [network], batch.inputs, {"attention": 1.0})
    network(batch.inputs)
    assert losses(batch).item() == pytest.approx(0, abs=1e-9)


def test_features_are_compared_after_the_projection_relative_to_their_energy(batch: Batch) -> None:
    student, teacher = _network(4), _network(8)
    losses = FeatureLosses(student, [teacher], batch.inputs, {"features": 2.0})
    student(batch.inputs)
    found = losses(batch).item()
    with torch.no_grad():
        ours, theirs = (network[1](network[0](batch.inputs)).numpy() for network in (student, teacher))
        kernel = next(losses.projections.parameters()).numpy()[:, :, 0, 0]
    projected = np.einsum("oc,bchw->bohw", kernel, ours)
    assert found == pytest.approx(2.0 * ((projected - theirs) ** 2).mean() / (theirs**2).mean(), rel=1e-4)


def test_projections_start_alike_and_leave_the_global_generator_as_it_was(batch: Batch) -> None:
    student, teacher = _network(4, 6), _network(8, 10)
    before = torch.random.get_rng_state()
    first = FeatureLosses(student, [teacher], batch.inputs, {"features": 1.0})
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.randn(5)
    second = FeatureLosses(student, [teacher], batch.inputs, {"features": 1.0})
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_student_and_the_projection_learn_and_the_teacher_does_not(batch: Batch) -> None:
    student, teacher = _network(4, 6), _network(8, 10)
    losses = FeatureLosses(student, [teacher], batch.inputs, {"features": 1.0, "attention": 1.0})
    student(batch.inputs)
    losses(batch).backward()
    assert all(one.grad is not None and bool(one.grad.abs().sum() > 0) for one in losses.parameters())
    assert bool(student[0].weight.grad.abs().sum() > 0)
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_once_released_the_student_is_watched_no_longer(batch: Batch) -> None:
    student = _network(4)
    losses = FeatureLosses(student, [_network(8)], batch.inputs, {"attention": 1.0})
    losses.release()
    assert not any(module._forward_hooks for module in student.modules())
