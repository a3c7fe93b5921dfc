"""Weights that are computed from others become plain ones, and the network stays the same function."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, spectral_norm, weight_norm

from pipeline.errors import ParityError
from pipeline.models.reparametrised import make_plain

if TYPE_CHECKING:
    from collections.abc import Callable

    Wrap = Callable[[nn.Module], nn.Module]

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def _network(wrap: Wrap) -> nn.Module:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls the older way deprecated; networks of that time still come
        return nn.Sequential(
            wrap(nn.Conv2d(3, 8, 3)), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), wrap(nn.Linear(8, 3))
        )


@pytest.mark.parametrize(
    "wrap",
    [
        weight_norm,
        spectral_norm,
        parametrizations.weight_norm,
        parametrizations.spectral_norm,
        parametrizations.orthogonal,
    ],
    ids=["weight_norm", "spectral_norm", "new weight_norm", "new spectral_norm", "orthogonal"],
)
def test_a_computed_weight_becomes_a_parameter_and_the_outputs_stay(wrap: Wrap) -> None:
    network = _network(wrap).eval()
    with torch.no_grad():
        before = network(IMAGES)

    changed = make_plain(network, IMAGES)

    assert changed == ("0", "4")
    assert set(network.state_dict()) == {"0.weight", "0.bias", "4.weight", "4.bias"}
    assert all(isinstance(network.get_submodule(name).weight, nn.Parameter) for name in changed)
    torch.testing.assert_close(network(IMAGES).detach(), before, rtol=1e-4, atol=1e-5)
    network.load_state_dict({name: value.clone() for name, value in network.state_dict().items()})


def test_a_network_that_changes_its_input_is_compared_on_the_same_one() -> None:
    class InPlace(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.sub_(0.5).div_(0.25)

    network = nn.Sequential(InPlace(), *_network(weight_norm)).eval()
    images = IMAGES.clone()

    assert make_plain(network, images) == ("1", "5")
    assert torch.equal(images, IMAGES)


def test_a_network_without_any_is_left_as_it_is() -> None:
    network = _network(lambda module: module).train()

    assert make_plain(network, IMAGES) == ()
    assert network.training


def test_a_weight_that_is_another_one_each_time_is_an_error() -> None:
    class Noise(nn.Module):
        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return weight + torch.randn_like(weight)

    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
    parametrize.register_parametrization(network[0], "weight", Noise())

    with pytest.raises(ParityError, match="a network whose computed weights are made plain answers differently"):
        make_plain(network, IMAGES)
