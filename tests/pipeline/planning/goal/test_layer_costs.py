"""What layers cost, and what is left of that: exactly what a cut network turns out to have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torchvision.models.densenet import DenseNet
from torchvision.models.swin_transformer import SwinTransformer
from torchvision.models.vision_transformer import VisionTransformer

from pipeline.models.build import build_network
from pipeline.models.count import count_macs
from pipeline.planning.goal.layer_costs import layer_costs
from pipeline.pruning.channel_groups import ChannelGroups
from pipeline.pruning.kept_channels import kept_channels

if TYPE_CHECKING:
    from pipeline.models.source import ModelSource

_SHAPE = (1, 3, 16, 16)


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
def test_the_multiplications_that_are_left_are_those_of_the_cut_network(tiny_model: ModelSource, ratio: float) -> None:
    torch.manual_seed(0)
    network = build_network(tiny_model, classes=3).eval()
    cutter = ChannelGroups(network, input_shape=_SHAPE, outputs=3)
    groups = cutter.groups()
    layers = layer_costs(network, _SHAPE, groups)
    assert sum(layer.macs for layer in layers) == count_macs(network, _SHAPE)
    whole = {group.root: group.channels for group in groups}
    kept = kept_channels(groups, ratio=ratio, scope="layer", round_to=2, of=whole)
    left = {root: number / whole[root] for root, number in kept.items()}
    cutter.cut(kept)
    assert sum(layer.macs * layer.share(left) for layer in layers) == pytest.approx(count_macs(network, _SHAPE))


def test_behind_concatenations_each_group_counts_for_its_part_of_the_inputs() -> None:
    torch.manual_seed(0)
    network = DenseNet(8, (2, 2), 16, bn_size=2, num_classes=3).eval()
    cutter = ChannelGroups(network, input_shape=(1, 3, 32, 32), outputs=3)
    groups = cutter.groups()
    layers = layer_costs(network, (1, 3, 32, 32), groups)
    assert max(len(layer.takes) for layer in layers) > 1
    kept = {group.root: group.channels * (1 + number % 4) // 4 for number, group in enumerate(groups)}

    cutter.cut(kept)

    left = {group.root: kept[group.root] / group.channels for group in groups}
    after = layer_costs(network, (1, 3, 32, 32), [])
    assert sum(layer.macs * layer.share(left) for layer in layers) == sum(layer.macs for layer in after)


def test_layers_of_a_resolution_are_a_block_and_depthwise_ones_another(tiny_model: ModelSource) -> None:
    network = build_network(tiny_model, classes=3).eval()
    groups = ChannelGroups(network, input_shape=_SHAPE, outputs=3).groups()
    found = {layer.name: layer.block for layer in layer_costs(network, _SHAPE, groups)}
    assert found == {
        "stem.0": "16x16",
        "body.0": "16x16",
        "depth.0": "16x16 depthwise",
        "widen": "8x8",
        "head": "linear",
    }


def test_a_layer_that_is_asked_twice_costs_twice() -> None:
    shared = nn.Conv2d(3, 3, 1)
    network = nn.Sequential(shared, nn.AvgPool2d(2), shared).eval()
    (layer,) = layer_costs(network, _SHAPE, [])
    assert (layer.macs, layer.params, layer.block) == (9 * (256 + 64), 9, "16x16")


def test_a_linear_layer_over_positions_counts_each() -> None:
    network = nn.Sequential(nn.Flatten(2), nn.Linear(256, 5)).eval()
    (layer,) = layer_costs(network, _SHAPE, [])
    assert (layer.macs, layer.params) == (3 * 256 * 5, 256 * 5)


@pytest.mark.parametrize(
    "network",
    [
        VisionTransformer(
            image_size=16, patch_size=8, num_layers=1, num_heads=4, hidden_dim=32, mlp_dim=64, num_classes=3
        ),
        SwinTransformer([2, 2], 32, [2], [4], [3, 3], num_classes=3),
    ],
    ids=["vit", "swin"],
)
def test_weights_that_an_attention_takes_from_its_layers_count_as_theirs(network: nn.Module) -> None:
    cutter = ChannelGroups(network.eval(), input_shape=_SHAPE, outputs=3)
    groups = cutter.groups()
    layers = layer_costs(network, _SHAPE, groups)
    counted = {layer.name for layer in layers}
    assert all(counted.issuperset((*group.makes, *group.takes)) for group in groups)
    whole = {group.root: group.channels for group in groups}
    kept = {root: number // 2 for root, number in whole.items()}

    cutter.cut(kept)

    left = {root: number / whole[root] for root, number in kept.items()}
    after = layer_costs(network, _SHAPE, [])
    assert sum(layer.macs * layer.share(left) for layer in layers) == sum(layer.macs for layer in after)
