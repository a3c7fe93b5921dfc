"""Where tensors lie in memory: never where gradients would come out wrong."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pipeline.training.hardware import layout_for


@pytest.mark.parametrize(
    ("layer", "safe"),
    [
        (nn.Conv2d(8, 32, 1, stride=2), False),
        (nn.Conv2d(3, 32, 1, stride=(1, 2)), False),
        (nn.Conv2d(32, 32, 1, stride=2, groups=4), False),
        (nn.Conv2d(16, 32, 1, stride=2), True),
        (nn.Conv2d(8, 32, 3, stride=2), True),
        (nn.Conv2d(8, 32, 1), True),
    ],
)
def test_channels_lie_last_but_where_strided_points_have_few_of_them(layer: nn.Module, safe: bool) -> None:  # noqa: FBT001 - a parameter
    network = nn.Sequential(nn.ReLU(), nn.Sequential(layer))
    image = torch.zeros(1, layer.in_channels, 8, 8)
    assert layout_for(network, image) == (torch.channels_last if safe else torch.contiguous_format)
    assert layout_for(network.to("meta"), image.to("meta")) == torch.channels_last  # no CPU


class _OwnWeights(nn.Conv2d):
    """Weight standardisation as its authors wrote it."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name
        spread = self.weight.view(len(self.weight), -1).std(1).view(-1, 1, 1, 1)
        return self._conv_forward(input, self.weight / spread, self.bias)


class _Groups(nn.Module):
    """Views that one image alone has."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        number, channels, high, wide = images.shape
        return images.view(number * 2, channels // 2, high, wide).mean((2, 3)).view(number, channels)


class _InTraining(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop = nn.BatchNorm2d(8), nn.Dropout()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = self.drop(self.norm(images))
        return maps.view(len(maps), -1) if self.training else maps.flatten(1)


@pytest.mark.parametrize(
    "network",
    [
        _OwnWeights(3, 8, 3),
        nn.Sequential(nn.Conv2d(3, 8, 3), _Groups()),
        nn.Sequential(nn.Conv2d(3, 8, 3), _InTraining()),
    ],
    ids=["of its weights", "of several images", "in training alone"],
)
def test_views_are_looked_for_in_weights_in_several_images_and_in_training(network: nn.Module) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.random.get_rng_state()

    assert layout_for(network, torch.rand(2, 3, 8, 8)) == torch.contiguous_format

    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.is_contiguous() for parameter in network.parameters())
    torch.rand(2, 3, 8, 8)
    after = torch.random.get_rng_state()
    torch.random.set_rng_state(state)
    torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    assert torch.equal(torch.random.get_rng_state(), after)


def test_what_else_a_network_raises_says_nothing_of_its_layout() -> None:
    class Refuses(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise ValueError(f"no boxes for {len(images)} images")

    assert layout_for(Refuses(), torch.zeros(2, 3, 8, 8)) == torch.channels_last


class _Views(nn.Module):
    def __init__(self, side: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Dropout(), nn.AdaptiveAvgPool2d(side)).eval()
        self.head = nn.Linear(8 * side**2, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.head(self.body(images).view(len(images), -1))
        return answer


@pytest.mark.parametrize(("side", "layout"), [(1, torch.channels_last), (4, torch.contiguous_format)])
def test_a_network_that_takes_views_of_its_maps_is_fed_so_that_there_are_such(
    side: int, layout: torch.memory_format
) -> None:
    network = _Views(side)
    modes = [module.training for module in network.modules()]

    assert layout_for(network, torch.zeros(1, 3, 8, 8)) == layout
    assert [module.training for module in network.modules()] == modes
    assert len(set(modes)) == 2


@pytest.mark.parametrize("channels", [3, 8, 12, 16, 20])
@pytest.mark.parametrize("batch", [8, 13, 29])
def test_the_gradients_of_the_layout_are_those_of_double_precision(channels: int, batch: int) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(channels, 32, 1, stride=2)
    exact = nn.Conv2d(channels, 32, 1, stride=2).double()
    exact.load_state_dict(layer.state_dict())
    images = torch.randn(batch, channels, 32, 32)
    layout = layout_for(layer, images[:1])
    layer.to(memory_format=layout)  # type: ignore[call-overload]
    layer(images.contiguous(memory_format=layout)).square().sum().backward()
    exact(images.double()).square().sum().backward()
    assert layer.weight.grad is not None
    assert exact.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad.double(), exact.weight.grad, rtol=1e-3, atol=1e-3)
