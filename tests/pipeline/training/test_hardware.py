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
