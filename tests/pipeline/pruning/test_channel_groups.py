"""Pruned channels: their number suits the kernels, the classes stay, and what cannot be pruned says so."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from pipeline.errors import EdgewrightError, UsageError
from pipeline.models.build import build_network
from pipeline.pruning.channel_groups import ChannelGroup, ChannelGroups
from pipeline.pruning.importance.criteria import CRITERIA
from pipeline.stages.prune import Prune

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.models.source import ModelSource


class _Pruner:
    """A fraction of every group goes, round by round, as the stage does it."""

    def __init__(self, network: nn.Module, ratio: float, rounds: int, round_to: int, **fields: Any) -> None:  # noqa: ANN401
        self._cutter = ChannelGroups(network, **fields)
        self._stage = Prune(ratio=ratio, rounds=rounds, round_to=round_to)
        self._before: dict[str, int] = {}
        self._round = 0

    def step(self) -> None:
        self._round += 1
        self._stage.cut_round(self._cutter, self._before, self._round)


def _pruner(
    network: nn.Module, *, ratio: float = 0.5, rounds: int = 1, round_to: int = 8, outputs: int = 3, size: int = 8
) -> _Pruner:
    return _Pruner(network, ratio, rounds, round_to, input_shape=(1, 3, size, size), outputs=outputs)


def _chain(*channels: int) -> nn.Sequential:
    """Convolutions in a row and a classifier."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for before, after in zip((3, *channels), channels, strict=False):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels[-1], 3)).eval()


def _channels(network: nn.Module) -> list[int]:
    return [module.out_channels for module in network.modules() if isinstance(module, nn.Conv2d)]


def _answers(network: nn.Module, size: int = 8) -> torch.Tensor:
    with torch.no_grad():
        answers: torch.Tensor = network.eval()(torch.randn(4, 3, size, size))
    return answers


@pytest.mark.parametrize(
    ("ratio", "round_to"), [(0.2, 4), (0.2, 8), (0.2, 16), (0.5, 8), (0.5, 16), (0.7, 4), (0.7, 8)]
)
def test_channel_numbers_are_multiples_of_round_to(tiny_model: ModelSource, ratio: float, round_to: int) -> None:
    network = build_network(tiny_model, classes=3)
    _pruner(network, ratio=ratio, round_to=round_to, size=16).step()
    found = _channels(network)
    assert all(number % round_to == 0 and number > 0 for number in found)
    assert sum(found) < 16 + 16 + 16 + 32
    assert _answers(network, 16).shape == (4, 3)


def test_channel_numbers_become_multiples_even_where_they_were_none() -> None:
    network = _chain(20, 50)
    _pruner(network).step()
    assert _channels(network) == [8, 24]  # at least half of them go
    assert _answers(network).shape == (4, 3)


def test_a_narrow_layer_keeps_round_to_channels_rather_than_all() -> None:
    # A fifth of 16 is less than 8: what is left is 8, which is nearer to it than 16.
    network = _chain(16, 64)
    _pruner(network, ratio=0.8).step()
    assert _channels(network) == [8, 8]


def test_half_of_the_channels_go(tiny_model: ModelSource) -> None:
    network = build_network(tiny_model, classes=3)
    _pruner(network, size=16).step()
    assert _channels(network) == [8, 8, 8, 16]


@pytest.mark.parametrize("rounds", [2, 4])
def test_several_rounds_remove_in_all_what_one_removes(tiny_model: ModelSource, rounds: int) -> None:
    network = build_network(tiny_model, classes=3)
    pruner = _pruner(network, rounds=rounds, round_to=2, size=16)
    seen = []
    for _ in range(rounds):
        pruner.step()
        seen.append(_channels(network))
    assert seen[-1] == [8, 8, 8, 16]
    assert all(earlier > later for earlier, later in itertools.pairwise(seen))


def test_a_round_that_has_nothing_left_to_take_takes_nothing() -> None:
    network = _chain(16, 32, 64)
    pruner = _pruner(network, ratio=0.25, rounds=4)
    seen = []
    for _ in range(4):
        pruner.step()
        seen.append(_channels(network))
    assert seen == [[8, 24, 56], [8, 24, 56], [8, 24, 48], [8, 24, 48]]


def test_where_no_round_can_take_anything_the_last_one_says_so() -> None:
    pruner = _pruner(_chain(8), rounds=2)
    pruner.step()
    with pytest.raises(EdgewrightError, match="cannot be pruned") as raised:
        pruner.step()
    assert raised.value.got == "no channel could be removed"


def test_the_layer_of_the_classes_keeps_its_outputs(tiny_model: ModelSource) -> None:
    network = build_network(tiny_model, classes=3)
    _pruner(network, ratio=0.5, size=16).step()
    assert network.head.out_features == 3
    assert network.head.in_features == 16
    assert _answers(network, 16).shape == (4, 3)


def test_a_layer_of_as_many_channels_as_classes_on_the_way_is_no_head() -> None:
    network = nn.Sequential(_chain(16, 16)[:6], nn.Conv2d(16, 3, 1), nn.Conv2d(3, 16, 1), *_chain(16, 16)[6:]).eval()
    _pruner(network).step()
    assert _answers(network).shape == (4, 3)
    assert network[-1].out_features == 3


def test_a_convolution_can_be_the_layer_of_the_classes() -> None:
    network = nn.Sequential(*_chain(16, 16)[:6], nn.Conv2d(16, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    _pruner(network).step()
    assert _channels(network) == [8, 8, 3]
    assert _answers(network).shape == (4, 3)


def test_the_channels_of_the_smallest_weights_go() -> None:
    network = _chain(16)
    with torch.no_grad():
        # Everything about the even channels is small: they must be the ones that go.
        network[0].weight[::2] *= 1e-3
        network[1].weight[::2] *= 1e-3
        network[5].weight[:, ::2] *= 1e-3
    kept = network[0].weight[1::2].detach().clone()
    _pruner(network).step()
    torch.testing.assert_close(network[0].weight, kept)


def test_channels_that_count_for_nothing_go_without_changing_the_answers() -> None:
    network = _chain(16)
    with torch.no_grad():
        network[0].weight[:8] = 0
        network[1].weight[:8] = 0
        network[5].weight[:, :8] = 0
    batch = torch.randn(2, 3, 8, 8)
    before = network(batch)
    _pruner(network).step()
    torch.testing.assert_close(network(batch), before)


def test_the_same_network_loses_the_same_channels(tiny_model: ModelSource) -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(1)
        network = build_network(tiny_model, classes=3)
        _pruner(network, size=16).step()
        states.append(network.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


class _NoLayers(nn.Module):
    """Answers for three classes without a layer that would make them."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return batch.mean((2, 3))


def test_a_network_without_a_layer_of_the_classes_says_so() -> None:
    with pytest.raises(EdgewrightError, match="the layer that answers was not found") as raised:
        _pruner(_NoLayers())
    assert raised.value.where == "prune"
    assert raised.value.expected == "a layer with 3 output(s)"


class _HardWired(nn.Module):
    """Writes the number of its channels down in ``forward``."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.head = nn.Linear(16, 3)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        batch = self.first(batch)
        batch = batch.flatten(1).reshape(len(batch), 16, 8, 8)
        return self.head(self.second(batch).mean((2, 3)))


class _Unfollowed(nn.Module):
    """Leaves torch on the way, so that no gradient tells which layer feeds which."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Conv2d(3, 16, 3), nn.Linear(16, 3)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return self.head(self.layer(batch).mean((2, 3)))


class _Cut(nn.Module):
    """Cuts the gradient on the way: only the head is left to be seen."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Conv2d(3, 16, 3), nn.Linear(16, 3)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(batch).detach().mean((2, 3)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 3)),  # nothing but the layer of the classes
        lambda: _chain(8),  # no more channels than have to stay
        _HardWired,
        _Unfollowed,
        _Cut,
    ],
    ids=["only a head", "too few channels", "hard-wired", "unfollowed", "cut"],
)
def test_a_network_that_cannot_be_pruned_says_so_and_how_to_go_on(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(EdgewrightError, match="this network's channels cannot be pruned") as raised:
        _pruner(make().eval()).step()
    assert raised.value.where == "prune"
    assert raised.value.got
    assert raised.value.fix == "run without it: --skip prune"


class _WithSide(nn.Module):
    """An auxiliary classifier that answers in training mode alone."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head, self.side = nn.Conv2d(3, 32, 3), nn.Linear(32, 3), nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        x = self.stem(x).relu().mean((2, 3))
        return (self.head(x), self.side(x)) if self.training else self.head(x)


def test_an_auxiliary_classifier_is_cut_with_the_trunk_and_keeps_its_classes() -> None:
    network = _WithSide()

    _pruner(network).step()

    assert [tuple(layer.weight.shape) for layer in (network.head, network.side)] == [(3, 16), (3, 16)]
    assert [answer.shape for answer in network.train()(torch.zeros(2, 3, 8, 8))] == [(2, 3), (2, 3)]


class _NormWithActivation(nn.BatchNorm2d):
    """A batch norm that holds its activation."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(super().forward(x))


def test_batch_norms_that_hold_their_activation_do_not_learn_from_the_example() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 16, 3), _NormWithActivation(16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3)
    ).eval()
    _pruner(network).step()
    assert _channels(network) == [8]
    assert torch.equal(network[1].running_var, torch.ones(8))


class _Puzzling(nn.Module):
    """A forward that fails as only some libraries do."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 32, 3), nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.head({32: x}[x.shape[1]].mean((2, 3)))


def test_whatever_the_graph_trips_over_is_one_sentence() -> None:
    with pytest.raises(EdgewrightError, match="this network's channels cannot be pruned") as raised:
        _pruner(_Puzzling()).step()

    assert raised.value.got == "KeyError: 16"


def test_a_pixel_shuffle_after_a_convolution_is_pruned_or_refused_in_one_sentence() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.PixelShuffle(2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip

    try:
        _pruner(network).step()
    except EdgewrightError as error:
        assert "\n" not in (error.got or "")  # noqa: PT017 - either way is right, a traceback is not
    else:
        assert _answers(network).shape == (4, 3)


def _groups(network: nn.Module, size: int = 8, **fields: Any) -> dict[str, ChannelGroup]:  # noqa: ANN401
    cutter = ChannelGroups(network, input_shape=(1, 3, size, size), outputs=3, **fields)
    return {group.root: group for group in cutter.groups()}


def test_a_group_says_which_layers_make_and_take_its_channels(tiny_model: ModelSource) -> None:
    groups = _groups(build_network(tiny_model, classes=3), 16)
    coupled = [group for group in groups.values() if {"stem.0", "body.0"} <= set(group.makes)]
    assert len(coupled) == 1  # the sum of the residual ties them
    assert {"widen", "depth.0"} & set(coupled[0].takes)
    assert coupled[0].channels == 16
    assert len(coupled[0].scores) == 16
    last = next(group for group in groups.values() if "head" in group.takes)
    assert (last.makes, last.channels) == (("widen",), 32)


def test_exactly_so_many_channels_stay_as_were_asked_for() -> None:
    network = _chain(20, 50, 30)
    cutter = ChannelGroups(network, input_shape=(1, 3, 8, 8), outputs=3)
    cutter.cut({"0": 7, "6": 30, "3": 49})
    assert _channels(network) == [7, 49, 30]
    assert _answers(network).shape == (4, 3)


class _Scaled(nn.Module):
    """A factor for each channel that is a parameter of no layer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return given * self.factors


@pytest.mark.parametrize("frozen", ["first", "all"])
def test_frozen_layers_lose_channels_and_stay_frozen(frozen: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), _Scaled(16), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(32, 3),
    ).eval()  # fmt: skip
    (network if frozen == "all" else network[:3]).requires_grad_(False)
    before = {name: parameter.requires_grad for name, parameter in network.named_parameters()}
    assert _groups(network).keys() == {"0", "4"}

    cutter = ChannelGroups(network, input_shape=(1, 3, 8, 8), outputs=3)
    cutter.cut({"0": 8, "4": 24})

    assert _channels(network) == [8, 24]
    assert _answers(network).shape == (4, 3)
    assert {name: parameter.requires_grad for name, parameter in network.named_parameters()} == before


def test_layers_that_are_to_stay_keep_their_channels() -> None:
    network = _chain(16, 32)
    cutter = ChannelGroups(network, input_shape=(1, 3, 8, 8), outputs=3, keep=("0",))
    assert [group.root for group in cutter.groups()] == ["3"]


def test_a_layer_to_keep_that_is_not_there_is_one_error() -> None:
    with pytest.raises(UsageError, match="there is no such layer to keep") as raised:
        ChannelGroups(_chain(16, 32), input_shape=(1, 3, 8, 8), outputs=3, keep=("O",))
    assert raised.value.got == "O"


def test_grouped_convolutions_lose_their_channels_in_equal_parts() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3, groups=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(64, 3),
    ).eval()  # fmt: skip
    groups = _groups(network)
    assert {group.copies for group in groups.values()} == {4}
    _pruner(network).step()
    assert (network[2].groups, network[2].out_channels % 8) == (4, 0)
    assert _answers(network).shape == (4, 3)


@pytest.mark.parametrize("importance", sorted(CRITERIA))
def test_by_every_importance_the_channels_that_do_nothing_go_first(importance: str) -> None:
    network = _chain(16)
    with torch.no_grad():
        network[0].weight[:8] *= 1e-4
        network[1].weight[:8] *= 1e-4
        network[5].weight[:, :8] *= 1e-4
    images = torch.randn(16, 3, 8, 8)
    nn.functional.cross_entropy(network(images), torch.arange(16) % 3).backward()
    scores = _groups(network, importance=importance)["0"].scores
    assert scores.shape == (16,)
    if importance == "random":
        assert 0 <= scores.min() <= scores.max() <= 1
    else:
        assert scores[:8].max() < scores[8:].min()


def test_batch_norms_say_nothing_of_a_network_without_any() -> None:
    network = nn.Sequential(nn.Conv2d(3, 32, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 3)).eval()
    assert _groups(network, importance="bn-scale") == {}
