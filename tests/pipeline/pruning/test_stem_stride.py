"""A stem that strides further: found by how a network is called; no pixel is passed over, the rest is as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torchvision.models import get_model

from pipeline.errors import UsageError
from pipeline.models.build import build_network
from pipeline.models.count import count_macs
from pipeline.models.files import load_network, save_network
from pipeline.models.source import ModelSource
from pipeline.pruning.channel_groups import ChannelGroups
from pipeline.pruning.stem_stride import stride_further

if TYPE_CHECKING:
    from pathlib import Path

_SHAPE = (1, 3, 64, 64)


def _maps(network: nn.Module, layer: str, shape: tuple[int, ...] = _SHAPE) -> torch.Size:
    """Shape of what a layer gives."""
    found: list[torch.Size] = []
    handle = network.get_submodule(layer).register_forward_hook(lambda _m, _i, answer: found.append(answer.shape))
    with torch.no_grad():
        network.eval()(torch.zeros(shape))
    handle.remove()
    return found[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 7, "stride": 2, "padding": 3, "bias": False},
        {"kernel_size": 3, "stride": 2, "groups": 3, "out_channels": 6},
        {"kernel_size": (3, 5), "stride": (1, 2), "padding": (1, 2)},
    ],
)
def test_its_answers_are_means_of_four_that_it_gave_before(fields: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, **{"out_channels": 8, **fields}), nn.ReLU())
    images = torch.randn(2, 3, 32, 32)
    wanted = nn.functional.avg_pool2d(network[0](images), 2)

    stride_further(network, (1, 3, 32, 32), "doubled")

    torch.testing.assert_close(network[0](images), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "told", "behind"),
    [
        ("resnet18", "conv1: 7x7 stride 2 -> 9x9 stride 4, maxpool goes", "layer1.0.conv1"),
        (
            "mobilenet_v2",
            "features.0.0: 3x3 stride 2 -> 5x5 stride 4, features.2.conv.1.0 no longer strides",
            "features.2.conv.2",
        ),
        ("squeezenet1_1", "features.0: 3x3 stride 2 -> 5x5 stride 4, features.2 goes", "features.3"),
    ],
)
def test_earlier_it_takes_the_stride_of_the_next_and_maps_behind_that_stay_as_large(
    name: str, told: str, behind: str
) -> None:
    network = get_model(name, weights=None, num_classes=3)
    before, macs = _maps(network, behind), count_macs(network, _SHAPE)
    assert stride_further(network, _SHAPE, "earlier") == told
    assert _maps(network, behind) == before
    assert count_macs(network, _SHAPE) < macs


def test_doubled_all_maps_have_half_their_sides() -> None:
    network = get_model("resnet18", weights=None, num_classes=3)
    assert stride_further(network, _SHAPE, "doubled") == "conv1: 7x7 stride 2 -> 9x9 stride 4"
    assert [_maps(network, name)[2] for name in ("conv1", "layer1", "layer2")] == [16, 8, 4]


class _Residual(nn.Module):
    """Strides in its branch and beside it; by slices where ``sliced``, which no module tells."""

    def __init__(self, *, sliced: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.branch = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.beside = nn.Identity() if sliced else nn.Conv2d(8, 8, 1, stride=2)
        self.step = 2 if sliced else 1
        self.behind = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(self.branch(x) + self.beside(x)[:, :, :: self.step, :: self.step])
        out: torch.Tensor = self.head(self.behind(x).mean((2, 3)))
        return out


def test_what_strides_beside_each_other_stops_together() -> None:
    network = _Residual()
    told = stride_further(network, _SHAPE, "earlier")
    assert told == "stem: 3x3 stride 1 -> 4x4 stride 2, branch no longer strides, beside no longer strides"
    assert _maps(network, "behind")[2] == 16
    assert network.behind.stride == (2, 2)


class _Choosing(nn.Sequential):
    """Goes through its last layer where maps are large."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        large: torch.Tensor = self[0](x)
        return self[1](self[2](large) if large.shape[2] > 32 else large)  # type: ignore[no-any-return] # of modules


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 3)), "no first convolution"),
        (nn.Sequential(nn.Conv2d(3, 4, 3, dilation=2), nn.MaxPool2d(2)), "0 is called again, is dilated"),
        (nn.Sequential(nn.Conv2d(3, 4, 3, padding="same"), nn.MaxPool2d(2)), "0 is called again, is dilated"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)), "nothing behind its first"),
        (_Choosing(nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(4, 4, 1)), "it would call other layers"),
        (_Residual(sliced=True), "does not answer any more: RuntimeError"),
        (nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 2, 2)), "maps at 1 would"),
    ],
)
def test_where_it_cannot_one_error_says_why(network: nn.Module, why: str) -> None:
    with pytest.raises(UsageError, match="cannot stride further") as raised:
        stride_further(network, _SHAPE, "earlier")
    assert raised.value.where == "downsample.stem"
    assert why in (raised.value.got or "")


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v2"])
def test_it_is_rebuilt_from_its_record_and_cut_again(tmp_path: Path, name: str) -> None:
    source = ModelSource(origin="torchvision", name=name)
    torch.manual_seed(0)
    network = build_network(source, classes=3).eval()
    stride_further(network, _SHAPE, "earlier")
    batch = torch.randn(2, *_SHAPE[1:])

    save_network(network, source, tmp_path, classes=3)
    again = load_network(tmp_path, source)

    assert torch.equal(again(batch), network(batch))
    cutter = ChannelGroups(again, input_shape=_SHAPE, outputs=3)
    root = cutter.groups()[0].root
    cutter.cut({root: 16})
    assert again(batch).shape == (2, 3)
    assert again.get_submodule(root).weight.shape[0] == 16
