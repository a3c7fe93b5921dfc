"""Which channels go: the least important ones for what they save, as few as it takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.planning.goal.cost_model import CostModel
from pipeline.planning.goal.layer_costs import LayerCost
from pipeline.planning.goal.removal import least_channels, remove_until
from pipeline.pruning.channel_groups import ChannelGroup


def _group(root: str, scores: list[float]) -> ChannelGroup:
    return ChannelGroup(
        root=root, channels=len(scores), scores=torch.tensor(scores), copies=1, kind="", makes=(root,), takes={}
    )


def _model(**rates: float) -> CostModel:
    """A layer for each group, of a cost a channel."""
    layers = tuple(
        LayerCost(name=root, macs=64, params=64, block=root, takes={}, makes=root, depthwise=False) for root in rates
    )
    return CostModel(layers=layers, rates=rates, fixed=0.0, by_params=False)


def _until(groups: list[ChannelGroup], model: CostModel, most: float) -> dict[str, int]:
    return remove_until(
        groups, {"latency": model}, lambda costs: "latency" if costs["latency"] > most else None, round_to=8
    )


def test_of_equally_important_channels_the_dearer_ones_go() -> None:
    groups = [_group("cheap", [1.0] * 64), _group("dear", [1.0] * 64)]
    assert _until(groups, _model(cheap=1.0, dear=3.0), 200.0) == {"cheap": 64, "dear": 40}


def test_of_equally_dear_channels_the_less_important_ones_go() -> None:
    groups = [_group("strong", [5.0] * 64), _group("weak", [1.0] * 64)]
    assert _until(groups, _model(strong=1.0, weak=1.0), 100.0) == {"strong": 64, "weak": 32}


def test_channels_that_several_layers_make_count_for_each_of_them() -> None:
    trunk = replace(_group("trunk", [1.0] * 64), makes=("trunk", "first", "second"))
    groups = [trunk, _group("inner", [1.0] * 64)]
    assert _until(groups, _model(trunk=1.0, inner=1.0), 104.0) == {"trunk": 64, "inner": 40}
    assert _until(groups, _model(trunk=3.5, inner=1.0), 264.0) == {"trunk": 56, "inner": 64}


def test_a_fraction_of_a_narrow_layer_is_worth_that_of_a_wide_one() -> None:
    """Half of the narrow one saves as much as half of the wide one, by eight channels in place of 64."""
    for importance, left in ((1.1, {"narrow": 16, "wide": 112}), (0.9, {"narrow": 8, "wide": 128})):
        groups = [_group("narrow", [importance] * 16), _group("wide", [1.0] * 128)]
        assert _until(groups, _model(narrow=1.0, wide=1.0), 120.0) == left


def test_within_a_group_the_least_important_ones_count_first() -> None:
    mixed = _group("mixed", [0.1] * 16 + [9.0] * 48)
    assert _until([mixed, _group("even", [1.0] * 64)], _model(mixed=1.0, even=1.0), 104.0) == {"mixed": 48, "even": 56}


def test_what_holds_already_stays_as_it_is() -> None:
    assert _until([_group("a", [1.0] * 64)], _model(a=1.0), 64.0) == {"a": 64}


@pytest.mark.parametrize(("channels", "least"), [(8, 8), (20, 8), (64, 8), (100, 16), (512, 64)])
def test_every_group_keeps_an_eighth_and_a_multiple_that_suits(channels: int, least: int) -> None:
    assert least_channels(_group("a", [1.0] * channels), 8) == least


@pytest.mark.parametrize(
    ("channels", "step", "least"), [(64, 32, 32), (128, 64, 64), (64, 4, 8), (20, 4, 4), (10, 1, 2), (129, 8, 24)]
)
def test_other_steps_than_sixteen_are_kept_to(channels: int, step: int, least: int) -> None:
    assert least_channels(_group("a", [1.0] * channels), step) == least


@pytest.mark.parametrize(("channels", "least"), [(16, 8), (24, 8), (64, 8), (128, 16), (192, 32), (512, 64)])
def test_of_wide_steps_one_may_be_halved_at_the_end(channels: int, least: int) -> None:
    group = _group("a", [1.0] * channels)
    assert least_channels(group, 16) == least
    assert remove_until([group], {"latency": _model(a=1.0)}, lambda _: "latency", round_to=16) == {"a": least}


@settings(deadline=None)
@given(
    scores=st.lists(st.lists(st.floats(0, 5, width=32), min_size=8, max_size=70), min_size=1, max_size=4),
    share=st.floats(0.01, 1),
)
def test_the_budget_holds_or_nothing_is_left_to_go(scores: list[list[float]], share: float) -> None:
    groups = [_group(str(number), one) for number, one in enumerate(scores)]
    model = _model(**{group.root: float(1 + place) for place, group in enumerate(groups)})
    whole = model.predict({})
    kept = _until(groups, model, share * whole)
    for group in groups:
        assert kept[group.root] % 8 == 0 or kept[group.root] == group.channels
        assert kept[group.root] >= least_channels(group, 8)
    cost = model.predict({group.root: kept[group.root] / group.channels for group in groups})
    if cost > share * whole:
        assert all(kept[group.root] <= least_channels(group, 8) for group in groups)
