"""Straight parts: what is in between goes, what goes in and comes out stays."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pipeline.errors import EdgewrightError
from pipeline.pruning.channel_groups import ChannelGroups
from pipeline.pruning.straight_parts import straight_parts

Transformer = tuple[nn.Module, torch.Tensor]


def _shuffled(x: torch.Tensor) -> torch.Tensor:
    """Two halves of the channels in turn: what a dependency graph cannot follow."""
    batch, channels, height, width = x.shape
    return x.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(x.shape)


class _Shuffling(nn.Module):
    """A branch on half of the channels, as ShuffleNet has them; its first layer goes channel by channel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3)
        self.branch = nn.Sequential(
            nn.Conv2d(16, 16, 3, padding=1, groups=16),
            nn.BatchNorm2d(16),
            nn.Sequential(nn.Conv2d(16, 64, 1), nn.ReLU(inplace=True)),
            nn.Conv2d(64, 16, 1),
            nn.BatchNorm2d(16),
        )
        self.head = nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = self.stem(x).chunk(2, dim=1)
        x = _shuffled(torch.cat((first, self.branch(second)), dim=1))
        return self.head(_shuffled(x).mean((2, 3)))


def test_a_part_ties_what_comes_out_and_what_goes_channel_by_channel_with_what_goes_in() -> None:
    network = _Shuffling().eval()

    (part,) = straight_parts(network, torch.zeros(1, 3, 8, 8))

    assert part.module is network.branch
    assert part.example.shape == (1, 16, 6, 6)
    assert set(part.tied) == {network.branch[3], network.branch[0]}


def test_where_the_whole_cannot_be_followed_the_parts_are_cut() -> None:
    network = _Shuffling().eval()
    cutter = ChannelGroups(network, input_shape=(1, 3, 8, 8), outputs=3)

    groups = cutter.groups()
    cutter.cut({"branch.2.0": 24})

    assert cutter.by_parts
    assert [(group.root, group.channels, group.takes) for group in groups] == [("branch.2.0", 64, {"branch.3": 1.0})]
    assert [network.branch[index].weight.shape[0] for index in (0, 3)] == [16, 16]
    assert network.branch[2][0].out_channels == 24
    assert network(torch.zeros(2, 3, 8, 8)).shape == (2, 3)


def test_without_parts_it_is_the_whole_that_failed() -> None:
    network = _Shuffling().eval()
    network.branch = network.branch[0]
    with pytest.raises(EdgewrightError, match="this network's channels cannot be pruned") as raised:
        ChannelGroups(network, input_shape=(1, 3, 8, 8), outputs=3).groups()
    assert "IndexError" in (raised.value.got or "")


class _Around(nn.Module):
    """A line with a way around it, in a module that looks like one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(16, 32, 1), nn.Conv2d(32, 16, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.second(self.first(x))


def test_only_what_runs_in_one_line_is_a_part() -> None:
    network = nn.Module()
    network.around = _Around()
    network.twice = nn.Conv2d(16, 16, 1)
    network.line = nn.Sequential(nn.Conv2d(16, 8, 1), nn.Conv2d(8, 16, 1))
    network.no_layer_last = nn.Sequential(nn.Conv2d(16, 8, 1), nn.Conv2d(8, 16, 1), _Around())
    network.forward = lambda x: network.no_layer_last(network.line(network.twice(network.twice(network.around(x)))))

    (part,) = straight_parts(network.eval(), torch.zeros(1, 16, 4, 4))

    assert part.module is network.line


def test_a_transformer_loses_heads_and_inner_widths_and_again(transformer: Transformer) -> None:
    network, batch = transformer
    sizes = [sum(parameter.numel() for parameter in network.parameters())]
    embedding = [tuple(module.weight.shape) for module in network.modules() if isinstance(module, nn.LayerNorm)]
    for _ in range(2):
        cutter = ChannelGroups(network, input_shape=(1, *batch.shape[1:]), outputs=3)
        groups = cutter.groups()
        cutter.cut({group.root: max(group.copies, group.channels // 2) for group in groups})
        sizes.append(sum(parameter.numel() for parameter in network.parameters()))
        assert {group.kind == "attention heads" for group in groups} == {True, False}
        assert network(batch).shape == (2, 3)
    assert sizes[0] > sizes[1] > sizes[2]
    assert embedding == [tuple(module.weight.shape) for module in network.modules() if isinstance(module, nn.LayerNorm)]


def test_feed_forward_channels_that_count_for_nothing_go_without_changing_the_answers(
    transformer: Transformer,
) -> None:
    network, batch = transformer
    cutter = ChannelGroups(network, input_shape=(1, *batch.shape[1:]), outputs=3)
    modules = dict(network.named_modules())
    widths = {
        group.root: group.channels
        for group in cutter.groups()
        if isinstance(modules[group.root], nn.Linear) and ".mlp" in group.root
    }
    for name, width in widths.items():
        first = modules[name]
        takes = next(group.takes for group in cutter.groups() if group.root == name)
        with torch.no_grad():
            first.weight[: width // 2] = 0
            modules[next(iter(takes))].weight[:, : width // 2] = 0
    before = network(batch)

    cutter.cut({name: width // 2 for name, width in widths.items()})

    assert widths
    torch.testing.assert_close(network(batch), before, rtol=1e-5, atol=1e-6)


class _Attention(nn.Module):
    """Holds the width of its heads in its code, as many do."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads = 2
        self.qkv, self.proj = nn.Linear(32, 96), nn.Linear(32, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        queries, keys, values = self.qkv(x).reshape(*x.shape[:2], 3, self.num_heads, 16).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(queries, keys, values)
        return self.proj(seen.transpose(1, 2).reshape(*x.shape[:2], 32))


class _Attending(nn.Module):
    """A transformer of somebody's: one block."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.attention = nn.Conv2d(3, 32, 4, stride=4), _Attention()
        self.mlp = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))
        self.head = nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        x = x + self.attention(x)
        return self.head((x + self.mlp(x)).mean(1))


def test_an_attention_with_its_width_in_its_code_keeps_it_and_what_lies_around_goes() -> None:
    torch.manual_seed(0)
    network = _Attending().eval()
    cutter = ChannelGroups(network, input_shape=(1, 3, 8, 8), outputs=3)

    cutter.cut({group.root: group.channels // 2 for group in cutter.groups()})

    assert (cutter.by_parts, cutter.staying) == (False, ("attention.qkv",))
    assert (network.stem.out_channels, network.mlp[0].out_features) == (16, 32)
    assert (network.attention.qkv.in_features, network.attention.qkv.out_features) == (16, 96)
    assert network(torch.zeros(2, 3, 8, 8)).shape == (2, 3)


def test_heads_that_do_not_mind_are_followed_with_everything_else() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 3)
    ).eval()
    network[2].num_heads = 2
    cutter = ChannelGroups(network, input_shape=(1, 3, 8, 8), outputs=3)

    cutter.cut({group.root: 16 for group in cutter.groups()})

    assert not cutter.by_parts
    assert [network[index].out_channels for index in (0, 2)] == [16, 16]
