"""Steps of two sizes: the same images in the same steps, sizes that anybody may draw again, statistics of one size."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from pipeline.progress import SilentProgress
from pipeline.tasks.classification import Classification
from pipeline.training.batch_norm import reestimate_batch_norm
from pipeline.training.images import Batch, TrainingImages
from pipeline.training.loop import train
from pipeline.training.mixed_sizes import MixedSizes
from pipeline.training.schedule import Schedule

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.data.dataset import Dataset
    from pipeline.preprocess import PreprocessSpec

_SMALL, _LARGE = (12, 12), (16, 16)


@pytest.fixture
def own(tiny_dataset: Dataset, tiny_preprocess: PreprocessSpec) -> TrainingImages:
    """96 images of three colours, small."""
    return TrainingImages(tiny_dataset.train, tiny_preprocess.at(_SMALL), SilentProgress(), Classification())


@pytest.fixture
def mixed(own: TrainingImages, tiny_dataset: Dataset, tiny_preprocess: PreprocessSpec) -> MixedSizes:
    """Half of the steps larger."""
    other = TrainingImages(tiny_dataset.train, tiny_preprocess.at(_LARGE), SilentProgress(), Classification())
    return MixedSizes(own=own, other=other, share=0.5)


def _walk(images: TrainingImages | MixedSizes, order: torch.Tensor, view: int = 0) -> list[Batch]:
    return list(images.batches(order, 5, view=view, augment=("flip", "shift")))


def _size(batch: Batch) -> tuple[int, ...]:
    return tuple(batch.inputs.shape[2:])


def test_steps_hold_the_images_they_would_hold_and_each_is_as_its_own_size_shows_it(mixed: MixedSizes) -> None:
    order = torch.randperm(96, generator=torch.Generator().manual_seed(1))
    found = _walk(mixed, order, view=2)
    by_size = {_SMALL: _walk(mixed.own, order, view=2), _LARGE: _walk(mixed.other, order, view=2)}
    assert {_size(batch) for batch in found} == {_SMALL, _LARGE}
    assert len(found) == len(by_size[_SMALL])
    for number, batch in enumerate(found):
        wanted = by_size[_size(batch)][number]
        assert torch.equal(batch.indices, wanted.indices)
        assert torch.equal(batch.inputs, wanted.inputs)
        assert torch.equal(torch.as_tensor(batch.labels), torch.as_tensor(wanted.labels))


def test_what_is_left_of_an_epoch_has_the_sizes_it_would_have_had(mixed: MixedSizes) -> None:
    order = torch.randperm(96, generator=torch.Generator().manual_seed(1))
    whole, rest = _walk(mixed, order), _walk(mixed, order[35:])
    assert all(torch.equal(one.inputs, other.inputs) for one, other in zip(whole[7:], rest, strict=True))


def test_another_view_of_the_same_images_draws_other_sizes(mixed: MixedSizes) -> None:
    order = torch.arange(96)
    assert [_size(batch) for batch in _walk(mixed, order, 0)] != [_size(batch) for batch in _walk(mixed, order, 1)]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_as_many_steps_as_were_asked_for_are_of_the_other_size(mixed: MixedSizes, share: float) -> None:
    some = MixedSizes(own=mixed.own, other=mixed.other, share=share)
    sizes = [
        _size(batch)
        for view in range(10)
        for batch in some.batches(torch.randperm(96, generator=torch.Generator().manual_seed(view)), 1, view=view)
    ]
    assert sizes.count(_LARGE) / len(sizes) == pytest.approx(share, abs=0.05)


def test_no_images_are_no_steps(mixed: MixedSizes) -> None:
    assert _walk(mixed, torch.arange(0)) == []


def _network() -> nn.Sequential:
    torch.manual_seed(3)
    layers = (nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))


class _Killed(Exception):  # noqa: N818 - a test
    """As far as the loop knows, the process is gone."""


def _train(mixed: MixedSizes, kept: Path, stop: int | None = None) -> tuple[nn.Module, list[tuple[int, ...]]]:
    sizes: list[tuple[int, ...]] = []

    def loss(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        if len(sizes) == stop:
            raise _Killed
        sizes.append(_size(batch))
        return nn.functional.cross_entropy(outputs, batch.labels)  # type: ignore[arg-type] # of classes

    network, schedule = _network(), Schedule(epochs=3, batch_size=16)
    train(
        network,
        mixed.own,
        schedule,
        loss,
        seed=5,
        progress=SilentProgress(),
        description="a training",
        kept=kept,
        mixed=mixed,
    )
    return network, sizes


def test_killed_within_an_epoch_it_goes_on_to_the_same_bits(
    mixed: MixedSizes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.training.checkpoint._EVERY_S", 0.0)
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole, sizes = _train(mixed, tmp_path / "whole")
    assert set(sizes) == {_SMALL, _LARGE}
    with pytest.raises(_Killed):
        _train(mixed, tmp_path / "killed", stop=9)
    resumed, rest = _train(mixed, tmp_path / "killed")
    assert rest == sizes[9:]
    state = resumed.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in whole.state_dict().items())


def test_the_statistics_of_batch_norms_are_those_of_its_own_size(mixed: MixedSizes, tmp_path: Path) -> None:
    network, _ = _train(mixed, tmp_path)
    again, larger = copy.deepcopy(network), copy.deepcopy(network)
    reestimate_batch_norm(again, mixed.own, batch_size=64)
    reestimate_batch_norm(larger, mixed.other, batch_size=64)
    mean = network.get_buffer("1.running_mean")
    assert torch.equal(mean, again.get_buffer("1.running_mean"))
    assert not torch.equal(mean, larger.get_buffer("1.running_mean"))
