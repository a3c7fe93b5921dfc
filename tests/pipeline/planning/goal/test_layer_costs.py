"""What layers cost, and what is left of that: exactly what a cut network turns out to have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models.densenet import DenseNet
from torchvision.models.swin_transformer import SwinTransformer
from torchvision.models.vision_transformer import VisionTransformer

from pipeline.models.build import build_network
from pipeline.models.count import count_macs
from pipeline.planning.goal.cost_model import Observation, fit_cost_model
from pipeline.planning.goal.layer_costs import UNSEEN, layer_costs, unseen_share
from pipeline.planning.goal.removal import remove_until
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


class _Crossed(nn.Module):
    """Few queries of what a picture's pieces say: keys and values have another width and length than they."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.zeros(1, 5, 32))
        self.pieces = nn.Conv2d(3, width, 4, stride=4)
        self.attention = nn.MultiheadAttention(32, 4, kdim=width, vdim=width, batch_first=True)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        pieces = self.pieces(given).flatten(2).transpose(1, 2)
        answered: torch.Tensor = self.attention(self.queries, pieces, pieces, need_weights=False)[0]
        return answered


@pytest.mark.parametrize("width", [32, 64], ids=["one weight", "a weight each"])
def test_an_attention_counts_its_queries_keys_and_values_each_by_their_number(width: int) -> None:
    network = _Crossed(width).eval()
    found = {layer.name: layer for layer in layer_costs(network, _SHAPE, [])}
    attention, out = found["attention"], found["attention.out_proj"]
    assert (attention.macs, attention.params) == (32 * (32 * 5 + 2 * width * 16), 32 * (32 + 2 * width))
    products = 2 * 32 * 5 * 16  # of two activations: of no layer
    assert found["pieces"].macs + attention.macs + out.macs == count_macs(network, _SHAPE) - products


class _Pooled(nn.Module):
    """CLIP's last layer: projections of its own in an attention that is called as a function."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(16, 16) for _ in range(4))

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        pieces = given.flatten(2).permute(2, 0, 1)
        answered: torch.Tensor = functional.multi_head_attention_forward(
            pieces[:1],
            pieces,
            pieces,
            embed_dim_to_check=16,
            num_heads=4,
            in_proj_weight=None,
            in_proj_bias=torch.zeros(48),
            bias_k=None,
            bias_v=None,
            add_zero_attn=False,
            dropout_p=0.0,
            out_proj_weight=self.out.weight,
            out_proj_bias=self.out.bias,
            training=False,
            use_separate_proj_weight=True,
            q_proj_weight=self.query.weight,
            k_proj_weight=self.key.weight,
            v_proj_weight=self.value.weight,
        )[0]
        return answered


def test_layers_whose_weights_are_handed_to_an_attention_count_each_as_theirs() -> None:
    found = {layer.name: (layer.macs, layer.params) for layer in layer_costs(_Pooled().eval(), (2, 16, 4, 4), [])}
    assert found == {
        "query": (256, 256),
        "key": (256 * 16, 256),
        "value": (256 * 16, 256),
        "out": (256, 256),
    }


class _Cropped(nn.Module):
    """A detector's head: more pieces than there were images."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        crops = self.body(given)[..., :4, :4].repeat(50, 1, 1, 1)
        answered: torch.Tensor = self.head(crops)
        return answered


@pytest.mark.parametrize("images", [1, 2])
def test_a_convolution_over_pieces_counts_each(images: int) -> None:
    network, shape = _Cropped().eval(), (images, 3, 16, 16)
    layers = layer_costs(network, shape, [])
    assert {layer.name: layer.block for layer in layers} == {"body": "16x16", "head": "4x4"}
    assert sum(layer.macs for layer in layers) == count_macs(network, shape) // images
    assert unseen_share(layers) == 0


class _Standardised(nn.Conv2d):
    """Its weight is computed in ``forward``, as in the networks of Big Transfer."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return functional.conv2d(given, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class _Unfolded(nn.Conv2d):
    """It is a product of two tensors, of which a pass through the network does not say whose they are."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        maps = functional.unfold(given, self.kernel_size, padding=self.padding)  # type: ignore[arg-type] # two numbers
        answered = torch.matmul(self.weight.flatten(1), maps)
        return answered.unflatten(2, given.shape[2:])


def _network(kind: type[nn.Conv2d]) -> nn.Module:
    layers = (kind(3, 16, 3, padding=1), nn.ReLU(), kind(16, 32, 3, padding=1), nn.ReLU(), kind(32, 16, 1))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3)).eval()


def test_a_weight_that_is_computed_in_forward_is_its_layers() -> None:
    network = _network(_Standardised)
    groups = ChannelGroups(network, input_shape=_SHAPE, outputs=3).groups()
    layers = layer_costs(network, _SHAPE, groups)
    assert [layer.name for layer in layers] == ["0", "2", "4", "7"]
    assert sum(layer.macs for layer in layers) == count_macs(network, _SHAPE)
    assert [layer.makes for layer in layers] == ["0", "2", "4", None]


def test_what_is_found_in_no_layer_goes_with_all_channels_alike() -> None:
    torch.manual_seed(0)
    network = _network(_Unfolded)
    groups = ChannelGroups(_network(nn.Conv2d), input_shape=_SHAPE, outputs=3).groups()
    layers = layer_costs(network, _SHAPE, groups)
    macs = count_macs(network, _SHAPE)
    assert sum(layer.macs for layer in layers) == pytest.approx(macs, abs=len(groups))
    assert unseen_share(layers) == pytest.approx(1 - 48 / macs, abs=1e-3)

    whole = {group.root: 1.0 for group in groups}
    model = fit_cost_model([Observation(layers=layers, left=whole, cost=1.0)], by_params=False)
    left = remove_until(groups, {"macs": model}, lambda costs: "macs" if costs["macs"] > 0.5 else None, round_to=1)
    assert all(left[group.root] < group.channels for group in groups)


def test_a_network_in_which_no_layer_is_found_has_a_cost_all_the_same() -> None:
    (layer,) = layer_costs(_Unfolded(3, 16, 3, padding=1).eval(), _SHAPE, [])
    assert (layer.block, layer.macs, layer.params) == (UNSEEN, 256 * 16 * 27, 16 * 27 + 16)
    model = fit_cost_model([Observation(layers=[layer], left={}, cost=2.0)], by_params=False)
    assert model.predict({}) == pytest.approx(2.0)
