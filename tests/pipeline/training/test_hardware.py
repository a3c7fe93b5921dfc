"""Where tensors lie in memory: never where gradients would come out wrong."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pipeline.training.hardware import layout_for

_CPU, _GPU = torch.device("cpu"), torch.device("cuda")


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
    assert layout_for(network, _CPU) == (torch.channels_last if safe else torch.contiguous_format)
    assert layout_for(network, _GPU) == torch.channels_last


@pytest.mark.parametrize("channels", [3, 8, 12, 16, 20])
@pytest.mark.parametrize("batch", [8, 13, 29])
def test_the_gradients_of_the_layout_are_those_of_double_precision(channels: int, batch: int) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(channels, 32, 1, stride=2)
    exact = nn.Conv2d(channels, 32, 1, stride=2).double()
    exact.load_state_dict(layer.state_dict())
    images = torch.randn(batch, channels, 32, 32)
    layout = layout_for(layer, _CPU)
    layer.to(memory_format=layout)  # type: ignore[call-overload]
    layer(images.contiguous(memory_format=layout)).square().sum().backward()
    exact(images.double()).square().sum().backward()
    assert layer.weight.grad is not None
    assert exact.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad.double(), exact.weight.grad, rtol=1e-3, atol=1e-3)
