"""Residual blocks: found by what they do, ranked by how little that is, left out and rebuilt without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torchvision.models import get_model, resnet18
from torchvision.ops import FrozenBatchNorm2d

from pipeline.errors import UsageError
from pipeline.models.build import build_network
from pipeline.models.files import load_network, save_network
from pipeline.models.source import ModelSource
from pipeline.pruning.channel_groups import ChannelGroups
from pipeline.pruning.residual_blocks import changes, removable, remove_blocks, residual_blocks

if TYPE_CHECKING:
    from pathlib import Path

_SHAPE = (1, 3, 32, 32)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", ["layer1.0", "layer1.1", "layer2.1", "layer3.1", "layer4.1"]),
        ("mobilenet_v3_small", ["features.3", "features.5", "features.6", "features.8", "features.10", "features.11"]),
        ("shufflenet_v2_x0_5", []),
        ("squeezenet1_1", []),
    ],
)
def test_blocks_are_those_that_pass_their_input_on_when_they_do_nothing(name: str, expected: list[str]) -> None:
    network = get_model(name, weights=None).eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}

    found = residual_blocks(network, _SHAPE)

    assert found == expected
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_blocks_of_frozen_normalisations_are_found_too() -> None:
    network = resnet18(weights=None, norm_layer=FrozenBatchNorm2d).eval()
    for norm in network.modules():
        if isinstance(norm, FrozenBatchNorm2d):
            norm.bias.fill_(0.1)
    before = {key: value.clone() for key, value in network.state_dict().items()}

    assert residual_blocks(network, _SHAPE) == ["layer1.0", "layer1.1", "layer2.1", "layer3.1", "layer4.1"]
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_blocks_of_transformers_are_found_too(transformer: tuple[nn.Module, torch.Tensor]) -> None:
    network, batch = transformer
    found = residual_blocks(network, (1, *batch.shape[1:]))
    assert len(found) >= 2
    remove_blocks(network, found)
    assert network(batch).shape == (2, 3)


class _Added(nn.Module):
    """Adds a multiple of what it is given, and may write into it first."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1, bias=False))
        with torch.no_grad():
            self.inner[1].weight.copy_(share * torch.eye(4)[:, :, None, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clone() + self.inner(x)


def _added(*shares: float) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), *(_Added(share) for share in shares)).eval()


def test_a_block_that_adds_a_tenth_changes_a_tenth_and_the_least_is_the_first() -> None:
    network = _added(0.5, 0.1, 0.25)
    found = residual_blocks(network, _SHAPE)

    told = changes(network, found, [torch.randn(4, 3, 8, 8), torch.randn(2, 3, 8, 8)])

    assert [block.name for block in told] == ["3", "4", "2"]
    assert [block.change for block in told] == pytest.approx([0.1, 0.25, 0.5], rel=1e-5)


def test_without_a_block_its_input_goes_on() -> None:
    network = _added(0.5, 0.1)
    batch = torch.randn(2, 3, 8, 8)
    expected = network[3](network[1](network[0](batch)))

    remove_blocks(network, ["2"])

    torch.testing.assert_close(network(batch), expected)


def test_blocks_around_and_inside_what_is_kept_stay() -> None:
    network = get_model("resnet18", weights=None).eval()
    assert removable(network, _SHAPE, 2, keep=("layer1", "layer3.1.conv2")) == ["layer2.1", "layer4.1"]


def test_blocks_that_are_named_have_to_be_there() -> None:
    network = get_model("resnet18", weights=None).eval()
    assert removable(network, _SHAPE, ("layer4.1", "layer1.0")) == ["layer4.1", "layer1.0"]
    with pytest.raises(UsageError, match="no such residual block") as raised:
        removable(network, _SHAPE, ("layer1.1", "layer2.0"))
    assert (raised.value.where, raised.value.got) == ("prune.blocks", "layer2.0")
    assert (raised.value.expected or "").startswith("some of layer1.0, layer1.1")


def test_more_blocks_than_there_are_is_one_error() -> None:
    network = get_model("resnet18", weights=None).eval()
    with pytest.raises(UsageError, match="not so many residual blocks") as raised:
        removable(network, _SHAPE, 6)
    assert (raised.value.where, raised.value.got) == ("prune.blocks", "6")
    assert (raised.value.expected or "").startswith("at most 5: layer1.0")


def test_a_network_without_blocks_and_channels_is_rebuilt_from_its_record_and_cut_again(tmp_path: Path) -> None:
    source = ModelSource(origin="torchvision", name="resnet18")
    torch.manual_seed(0)
    network = build_network(source, classes=3).eval()
    remove_blocks(network, ["layer1.1", "layer3.1"])
    ChannelGroups(network, input_shape=_SHAPE, outputs=3).cut({"conv1": 32, "layer2.1.conv1": 40})
    batch = torch.randn(2, *_SHAPE[1:])

    save_network(network, source, tmp_path, classes=3)
    again = load_network(tmp_path, source)

    assert torch.equal(again(batch), network(batch))
    assert residual_blocks(again, _SHAPE) == ["layer1.0", "layer2.1", "layer4.1"]
    ChannelGroups(again, input_shape=_SHAPE, outputs=3).cut({"conv1": 16})
    assert again(batch).shape == (2, 3)
