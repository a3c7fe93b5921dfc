"""How many channels stay: of each layer alike, or of layers that compete."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.pruning.channel_groups import ChannelGroup
from pipeline.pruning.kept_channels import gradually, kept_channels


def _group(root: str, scores: list[float], **fields: Any) -> ChannelGroup:  # noqa: ANN401 - fields of all kinds
    given = {"copies": 1, "kind": "conv", "makes": (root,), "takes": {}, **fields}
    return ChannelGroup(root=root, channels=len(scores) * given["copies"], scores=torch.tensor(scores), **given)


def _kept(groups: list[ChannelGroup], ratio: float, scope: str, round_to: int = 1) -> dict[str, int]:
    before = {group.root: group.channels for group in groups}
    return kept_channels(groups, ratio=ratio, scope=scope, round_to=round_to, of=before)


_SCORES = st.lists(st.floats(0, 10, width=32), min_size=4, max_size=64)


@settings(deadline=None)
@given(
    groups=st.lists(_SCORES, min_size=1, max_size=5),
    ratio=st.floats(0.05, 0.95),
    scope=st.sampled_from(["layer", "global", "isomorphic"]),
    round_to=st.sampled_from([1, 2, 4]),
)
def test_numbers_suit_the_kernels_and_no_group_is_emptied(
    groups: list[list[float]], ratio: float, scope: str, round_to: int
) -> None:
    made = [_group(str(number), scores, kind=str(number % 2)) for number, scores in enumerate(groups)]
    kept = _kept(made, ratio, scope, round_to)
    assert kept.keys() == {group.root for group in made}
    for group in made:
        assert 0 < kept[group.root] <= group.channels
        assert kept[group.root] % round_to == 0 or kept[group.root] == group.channels


def test_of_every_layer_the_same_fraction_goes() -> None:
    assert _kept([_group("a", [1.0] * 16), _group("b", [5.0] * 64)], 0.5, "layer") == {"a": 8, "b": 32}


@pytest.mark.parametrize(("channels", "ratio", "left"), [(160, 0.9, 16), (80, 0.8, 16), (320, 0.8, 64), (80, 0.81, 8)])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_binary_fraction_costs_no_step_of_channels(channels: int, ratio: float, left: int, scope: str) -> None:
    assert _kept([_group("a", [1.0] * channels)], ratio, scope, round_to=8) == {"a": left}


def test_where_layers_compete_the_lowest_scores_go() -> None:
    weak, strong = _group("weak", [0.1] * 16), _group("strong", [5.0] * 16)
    assert _kept([weak, strong], 0.25, "global") == {"weak": 8, "strong": 16}
    assert _kept([weak, strong], 0.25, "layer") == {"weak": 12, "strong": 12}


def test_no_layer_is_left_with_next_to_nothing() -> None:
    assert _kept([_group("weak", [0.1] * 20), _group("strong", [5.0] * 20)], 0.5, "global") == {"weak": 2, "strong": 18}


def test_layers_compete_with_those_that_are_built_alike() -> None:
    groups = [
        _group("a", [0.1] * 16, kind="residual"),
        _group("b", [5.0] * 16, kind="residual"),
        _group("c", [100.0] * 16, kind="plain"),
    ]
    assert _kept(groups, 0.25, "isomorphic") == {"a": 8, "b": 16, "c": 12}


def test_grouped_channels_go_in_equal_parts() -> None:
    assert _kept([_group("a", [1.0] * 9, copies=4)], 0.5, "layer", 8) == {"a": 16}


@pytest.mark.parametrize(("done", "kept"), [(0.25, 48), (0.5, 36), (1.0, 13)])
def test_on_the_way_to_what_is_wanted_numbers_suit_and_in_the_end_it_is_that(done: float, kept: int) -> None:
    assert gradually({"a": 13}, {"a": 64}, done, 4, [_group("a", [1.0] * 64)]) == {"a": kept}


def test_no_round_takes_more_than_is_wanted_in_the_end() -> None:
    assert gradually({"a": 60}, {"a": 64}, 0.5, 8, [_group("a", [1.0] * 64)]) == {"a": 60}


@pytest.mark.parametrize(("wanted", "told"), [({"a": 65}, "at most 64"), ({"b": 3}, "one of a")])
def test_channels_that_a_layer_has_not_are_one_error(wanted: dict[str, int], told: str) -> None:
    with pytest.raises(UsageError, match="not so many channels to give") as raised:
        gradually(wanted, {"a": 64}, 1.0, 8, [_group("a", [1.0] * 64)])
    assert raised.value.expected == told


@pytest.mark.parametrize(
    ("number", "told"),
    [(80, "64 or 96, multiples of 32"), (16, "32, multiples of 32"), (127, "96 or 128, multiples of 32")],
)
@pytest.mark.parametrize("done", [0.5, 1.0])
def test_a_part_of_what_goes_at_once_is_refused_with_what_fits(number: int, told: str, done: float) -> None:
    with pytest.raises(UsageError, match="go several at once") as raised:
        gradually({"a": number}, {"a": 128}, done, 8, [_group("a", [1.0] * 4, copies=32)])
    assert (raised.value.where, raised.value.got, raised.value.expected) == ("prune.channels", f"a: {number}", told)
