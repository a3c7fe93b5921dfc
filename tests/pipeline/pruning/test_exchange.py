"""Channels that other layers take in another order, or in pairs, are found by changing places, and stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torch.nn import functional

from pipeline.errors import EdgewrightError
from pipeline.pruning.channel_groups import ChannelGroups

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class _Between(nn.Module):
    """Two convolutions, something between them, two more, and a classifier."""

    def __init__(self, between: Callable[[Tensor], Tensor], *, taken: int = 16) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.mixed = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.taking, self.last = nn.Conv2d(taken, 16, 3, padding=1), nn.Conv2d(16, 8, 3)
        self.classes = nn.Linear(8, 3)
        self.between = between

    def forward(self, images: Tensor) -> Tensor:
        found = self.between(self.mixed(self.first(images).relu()).relu())
        logits: Tensor = self.classes(self.last(self.taking(found).relu()).mean((2, 3)))
        return logits


def _gated(maps: Tensor) -> Tensor:
    half, gate = maps.chunk(2, dim=1)
    return half * gate


def _shuffled(maps: Tensor) -> Tensor:
    batch, channels, height, width = maps.shape
    return maps.view(batch, 4, channels // 4, height, width).transpose(1, 2).reshape(batch, channels, height, width)


def _cutter(network: nn.Module, importance: str = "l2", size: int = 8) -> ChannelGroups:
    return ChannelGroups(network.eval(), input_shape=(1, 3, size, size), outputs=3, importance=importance)


@pytest.mark.parametrize(
    ("between", "taken"),
    [(_shuffled, 16), (nn.ChannelShuffle(4), 16), (lambda maps: maps.flip(1), 16), (_gated, 8)],
    ids=["shuffle", "module of a shuffle", "flip", "gate"],
)
def test_channels_that_are_taken_in_another_order_stay_and_the_others_go(
    between: Callable[[Tensor], Tensor], taken: int
) -> None:
    network = _Between(between, taken=taken)
    cutter = _cutter(network)
    assert {group.root for group in cutter.groups()} == {"first", "taking", "last"}
    assert cutter.staying == ("mixed",)
    assert not cutter.by_parts

    with torch.no_grad():
        network.first.weight[::2] = network.first.bias[::2] = 0  # these go, and answered nothing
    images = torch.randn(2, 3, 8, 8)
    before = network(images)
    cutter.cut({"first": 4})
    assert network.mixed.weight.shape == (16, 4, 3, 3)
    assert torch.allclose(network(images), before, atol=1e-6)


def test_what_lies_between_in_order_changes_nothing() -> None:
    cutter = _cutter(_Between(functional.hardswish))
    assert {group.root for group in cutter.groups()} == {"first", "mixed", "taking", "last"}
    assert cutter.staying == ()


class _Tied(nn.Module):
    """Two layers with one weight between others."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.one, self.other = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3), nn.Conv2d(16, 16, 3)
        self.other.weight = self.one.weight
        self.last, self.classes = nn.Conv2d(16, 8, 1), nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        found = self.other(self.one(self.first(images).relu()).relu()).relu()
        logits: Tensor = self.classes(self.last(found).mean((2, 3)))
        return logits


def test_layers_that_share_a_weight_keep_their_channels() -> None:
    network = _Tied()
    cutter = _cutter(network)
    assert [group.root for group in cutter.groups()] == ["last"]
    assert set(cutter.staying) == {"first", "one", "other"}
    assert network.other.weight is network.one.weight


class _Attending(nn.Module):
    """Patches that attend to each other, and a feed-forward."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.heads = nn.Conv2d(3, 16, 4, 4), nn.MultiheadAttention(16, 2, batch_first=True)
        self.wide, self.narrow, self.classes = nn.Linear(16, 32), nn.Linear(32, 16), nn.Linear(16, 3)

    def forward(self, images: Tensor) -> Tensor:
        found = self.patches(images).flatten(2).transpose(1, 2)
        found = found + self.heads(found, found, found, need_weights=False)[0]
        logits: Tensor = self.classes((found + self.narrow(self.wide(found).relu())).mean(1))
        return logits


def test_no_place_of_a_head_goes_to_another_one() -> None:
    network = _Attending()
    cutter = _cutter(network)
    assert [group.root for group in cutter.groups()] == ["wide"]
    assert len(cutter.staying) == 1
    cutter.cut({"wide": 8})
    assert (network.narrow.in_features, network.heads.embed_dim) == (8, 16)


class _Permuted(nn.Module):
    """Nothing but a convolution whose maps are flattened place by place."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.only, self.classes = nn.Conv2d(3, 8, 3), nn.Linear(8 * 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        found = functional.adaptive_avg_pool2d(self.only(images), 2)
        logits: Tensor = self.classes(found.permute(0, 2, 3, 1).flatten(1))
        return logits


def test_a_network_in_which_nothing_may_change_places_stays_dense_with_one_sentence() -> None:
    with pytest.raises(EdgewrightError, match="channels cannot be pruned") as raised:
        _cutter(_Permuted()).groups()
    assert "can change places" in (raised.value.got or "")


def test_looking_changes_neither_the_network_nor_what_comes_by_chance() -> None:
    network = _Between(_gated, taken=8)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = torch.get_rng_state()
    _cutter(network, "random").groups()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_by_chance_the_same_channels_go_whether_they_were_looked_at_before_or_not() -> None:
    left = []
    for looks in (0, 2):
        network = _Between(nn.Identity())
        cutter = _cutter(network, "random")
        torch.manual_seed(5)
        for _ in range(looks):
            cutter.groups()
        cutter.cut({"mixed": 8})
        left.append(network.mixed.bias.detach())
    assert torch.equal(*left)
