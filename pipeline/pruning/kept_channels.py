"""How many channels of each group stay, for a fraction that is to go: by group, or ranked across groups."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.pruning.channel_groups import ChannelGroup

__all__ = ["gradually", "kept_channels", "step_of"]

_LEAST_SHARE = 0.1
"""Of a group's channels that stay wherever groups compete: a layer of next to nothing would cut the network in two."""
_ROUNDING = 1e-6
"""Of a channel: nine tenths of 160 go, and binary fractions leave a hair less than 16."""


def kept_channels(
    groups: Sequence[ChannelGroup], *, ratio: float, scope: str, round_to: int, of: Mapping[str, int]
) -> dict[str, int]:
    """Root to the number of channels that stay.

    ``layer``: of every group the same fraction goes. ``global``: the lowest scores of all groups together go; Molchanov
    et al., 2017 (arXiv:1611.06440). ``isomorphic``: the lowest of all groups that are built alike, since scores of
    unlike ones do not compare; Fang et al., "Isomorphic Pruning for Vision Models", 2024 (arXiv:2407.04616).

    Args:
        groups: With their scores.
        ratio: Fraction that goes.
        scope: Within which channels compete.
        round_to: Numbers stay multiples of this; of no group less than so many stay.
        of: Root to the number the fraction is of: that before the first of several rounds.
    """
    if scope == "layer":
        return {group.root: rounded(group, _left(of[group.root], ratio), round_to) for group in groups}
    kept: dict[str, int] = {}
    for kind in dict.fromkeys(group.kind if scope == "isomorphic" else "" for group in groups):
        rivals = [group for group in groups if scope == "global" or group.kind == kind]
        kept |= _ranked(rivals, ratio, round_to, of)
    return kept


def _left(channels: int, ratio: float) -> int:
    """How many are left where a fraction goes."""
    return int(channels * (1 - ratio) + _ROUNDING)


def gradually(
    wanted: Mapping[str, int], before: Mapping[str, int], done: float, round_to: int, groups: Sequence[ChannelGroup]
) -> dict[str, int]:
    """Root to the number of channels that stay on the way to what is wanted.

    Args:
        wanted: Root to the number in the end.
        before: The same before the first round.
        done: How far it is after this round, a fraction of 1.
        round_to: Numbers on the way are multiples of this, and never below what is wanted.
        groups: As they are now.

    Raises:
        UsageError: for a layer that has no channels to give, or not so many, or of which a part of what goes at once
            would be left.
    """
    for root, number in wanted.items():
        if number > before.get(root, 0):
            raise UsageError(
                "prune.channels names a layer that has not so many channels to give",
                got=f"{root}: {number}",
                expected=f"at most {before[root]}" if root in before else f"one of {', '.join(sorted(before))}",
            )
    by_root = {group.root: group for group in groups}
    for root, number in wanted.items():
        copies = by_root[root].copies
        if number % copies:
            fit = [one for one in (number - number % copies, number - number % copies + copies) if one]
            raise UsageError(
                "channels of this layer go several at once: one of each part of a grouped convolution, or a whole head",
                where="prune.channels",
                got=f"{root}: {number}",
                expected=f"{' or '.join(map(str, fit))}, multiples of {copies}",
            )
    if done >= 1:
        return dict(wanted)
    return {
        root: max(number, rounded(by_root[root], round(before[root] + (number - before[root]) * done), round_to))
        for root, number in wanted.items()
    }


def step_of(group: ChannelGroup, round_to: int) -> int:
    """By how many channels a group can shrink at once."""
    return math.lcm(round_to, group.copies)


def rounded(group: ChannelGroup, number: int, round_to: int) -> int:
    """The nearest number below that suits, at least one step; all channels where a group has less than that."""
    step = step_of(group, round_to)
    return min(group.channels, max(step, number - number % step))


def _ranked(groups: Sequence[ChannelGroup], ratio: float, round_to: int, of: Mapping[str, int]) -> dict[str, int]:
    """The lowest scores go until the fraction is reached; a group's last channels stay."""
    scores = sorted((float(score), group.root) for group in groups for score in group.scores.repeat(group.copies))
    left = {group.root: group.channels for group in groups}
    least = {group.root: _LEAST_SHARE * of[group.root] for group in groups}
    going = sum(left.values()) - _left(sum(of[group.root] for group in groups), ratio)
    for _, root in scores:
        if going <= 0:
            break
        if left[root] - 1 >= least[root]:
            left[root] -= 1
            going -= 1
    return {group.root: rounded(group, left[group.root], round_to) for group in groups}
