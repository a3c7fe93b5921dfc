"""Losses inside the networks: layers paired by resolution, compared by the papers' formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torchvision.models.resnet import Bottleneck, ResNet

from pipeline.errors import UsageError
from pipeline.training.beside import Beside
from pipeline.training.feature_pairs import FeatureLosses, attention, pairs_by_name, pairs_by_resolution
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


def test_a_stage_is_compared_with_a_stage_whatever_its_blocks_call_twice(batch: Batch) -> None:
    """A bottleneck calls its activation before and behind its stride, and begins with layers of the stage before."""
    student, teacher = (ResNet(Bottleneck, [1, 1, 1, 1], num_classes=3, width_per_group=width) for width in (16, 32))
    pairs = pairs_by_resolution(student, teacher, torch.zeros(1, 3, 64, 64))
    assert [(pair.student, pair.channels) for pair in pairs] == [
        ("relu", (64, 64)),
        ("layer1", (256, 256)),
        ("layer2", (512, 512)),
        ("layer3", (1024, 1024)),
        ("layer4", (2048, 2048)),
    ]
    wide = replace(batch, inputs=torch.randn(2, 3, 64, 64))
    losses = FeatureLosses(student, [teacher], wide.inputs, {"features": 1.0, "attention": 1.0})
    student(wide.inputs)
    assert losses(wide).item() > 0


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


def test_each_teacher_has_its_share(batch: Batch) -> None:
    student, teachers = _network(4), [_network(8), _network(6)]
    first, second = (FeatureLosses(student, [one], batch.inputs, {"attention": 1.0}) for one in teachers)
    both = FeatureLosses(student, teachers, batch.inputs, {"attention": 1.0}, [Beside(weight=3.0), Beside(weight=1.0)])
    student(batch.inputs)
    assert both(batch).item() == pytest.approx(0.75 * first(batch).item() + 0.25 * second(batch).item())


def test_attention_is_the_squared_distance_of_both_normalised_maps(batch: Batch) -> None:
    student, teacher = _network(4), _network(8)
    losses = FeatureLosses(student, [teacher], batch.inputs, {"attention": 3.0})
    student(batch.inputs)
    found = losses(batch).item()
    with torch.no_grad():
        ours, theirs = (network[1](network[0](batch.inputs)).double().numpy() for network in (student, teacher))
    maps = [(one**2).sum(axis=1).reshape(len(one), -1) for one in (ours, theirs)]
    ours, theirs = (one / np.sqrt((one**2).sum(axis=1, keepdims=True)) for one in maps)
    wanted = np.mean([sum((a - b) ** 2 for a, b in zip(*rows, strict=True)) for rows in zip(ours, theirs, strict=True)])
    assert wanted > 1e-3
    assert found == pytest.approx(3.0 * wanted, rel=1e-4)


@pytest.mark.parametrize("name", ["features", "attention"])
def test_the_slope_of_a_loss_on_layers_is_that_of_finite_differences(batch: Batch, name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    student, teacher = _network(2, 3).double(), _network(3, 4).double()
    for parameter in (*student.parameters(), *teacher.parameters()):
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / 3
    wide = replace(batch, inputs=batch.inputs.double())
    losses = FeatureLosses(student, [teacher], wide.inputs, {name: 1.0}).double()

    def loss(weight: torch.Tensor, *kernels: torch.Tensor) -> torch.Tensor:
        functional_call(student, {"0.weight": weight}, (wide.inputs,))
        given = {f"projections.{number}.weight": kernel for number, kernel in enumerate(kernels)}
        found: torch.Tensor = functional_call(losses, given, (wide,))
        return found

    kernels = [one.detach().clone().requires_grad_() for one in losses.parameters()]
    assert len(kernels) == (2 if name == "features" else 0)
    weight = student[0].weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(loss, (weight, *kernels))


@pytest.mark.parametrize("name", ["features", "attention"])
def test_layers_that_answer_in_bfloat16_are_compared_in_single_precision(batch: Batch, name: str) -> None:
    student, teacher = nn.Sequential(nn.Identity()), nn.Sequential(nn.Identity(), nn.Identity())
    halved = replace(batch, inputs=batch.inputs.bfloat16())
    losses = FeatureLosses(student, [teacher], batch.inputs, {name: 1.0})
    found = []
    for projection in losses.projections:
        projection.weight.data = torch.eye(3)[:, :, None, None]  # rounds nothing itself
    for features in (halved.inputs, halved.inputs.float()):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=features.dtype == torch.bfloat16):
            student(features.flip(-1))
            found.append(losses(replace(batch, inputs=features)))
    assert found[0].dtype == torch.float32
    torch.testing.assert_close(found[0], found[1])


def test_pairs_that_are_named_are_those_that_are_compared(batch: Batch) -> None:
    student, teacher = _network(4, 6), _network(8, 10, 12)
    losses = FeatureLosses(
        student, [teacher, teacher], batch.inputs, {"attention": 1.0}, [Beside(pairs={"0": "1", "2": "3"}), Beside()]
    )
    assert [[(pair.student, pair.teacher, pair.channels) for pair in pairs] for pairs in losses.pairs] == [
        [("0", "1", (4, 8)), ("2", "3", (6, 10))],
        [("1", "1", (4, 8)), ("3", "3", (6, 10))],
    ]


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({"stem": "1"}, "the student has no such layer"),
        ({"1": "11"}, "the teacher has no such layer"),
        ({"1": "3"}, "layers of different resolutions cannot be compared"),
        ({"5": "1"}, "this layer of the student gives no map"),
    ],
)
def test_pairs_that_do_not_fit_are_one_error(batch: Batch, named: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told) as raised:
        pairs_by_name(_network(4, 6), _network(8, 10, 12), batch.inputs, named)
    assert raised.value.where == "distill.pairs"


def test_layers_that_are_called_alike_are_told(batch: Batch) -> None:
    with pytest.raises(UsageError) as raised:
        pairs_by_name(_network(4, 6), _network(8, 10, 12), batch.inputs, {"1": "11"})
    assert "one of its 9, such as 1" in (raised.value.expected or "")


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


def test_once_released_the_teachers_are_where_the_next_training_looks_for_them(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, teacher, places = _network(4), _network(8), list[str]()
    losses = FeatureLosses(student, [teacher], batch.inputs, {"attention": 1.0})
    monkeypatch.setattr(teacher, "to", lambda device: places.append(str(device)) or teacher)
    student(batch.inputs)
    losses(batch)
    places.clear()
    losses.release()
    assert places == ["cpu"]


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda",
            marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")],
        ),
    ],
)
def test_one_teacher_serves_two_trainings(batch: Batch, device: str) -> None:
    teacher, found = _network(8), list[float]()
    for _ in range(2):
        student = _network(4)
        student.load_state_dict({key: torch.full_like(value, 0.1) for key, value in student.state_dict().items()})
        losses = FeatureLosses(student, [teacher], batch.inputs, {"features": 1.0, "attention": 1.0})
        student.to(device)
        losses.to(device)
        there = replace(batch, inputs=batch.inputs.to(device))
        student(there.inputs)
        found.append(losses(there).item())
        losses.release()
    assert found[1] == pytest.approx(found[0])
