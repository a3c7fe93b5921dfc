"""Which channels go for a budget: the least important ones for what their going saves."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from pipeline.pruning.kept_channels import step_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.planning.goal.cost_model import CostModel
    from pipeline.planning.goal.layer_costs import LayerCost
    from pipeline.pruning.channel_groups import ChannelGroup

__all__ = ["LEAST_SHARE", "least_channels", "makers_of", "remove_until"]

LEAST_SHARE = 0.125
"""Of a group's channels that stay whatever is asked: with less a layer passes on next to nothing."""
_WIDE_STEP, _LAST_STEP = 16, 8
"""What one wide step may be left with: half of a kernel's width saves little, and more than nothing."""


def least_channels(group: ChannelGroup, round_to: int) -> int:
    """As few as a group may be left with: a multiple of ``round_to``, or eight where that is one step of sixteen."""
    least = _least_in(step_of(group, round_to), group)
    may_be_halved = least <= round_to == _WIDE_STEP
    return min(least, _least_in(step_of(group, _LAST_STEP), group)) if may_be_halved else least


def makers_of(groups: Sequence[ChannelGroup], layers: Sequence[LayerCost]) -> dict[str, int]:
    """Root to how many layers make its channels; a depthwise one has next to nothing in its filters."""
    depthwise = {one.name for one in layers if one.depthwise}
    return {group.root: max(1, sum(name not in depthwise for name in group.makes)) for group in groups}


def _least_in(step: int, group: ChannelGroup) -> int:
    least = ceil(LEAST_SHARE * group.channels / step) * step
    return min(group.channels, max(step, least))


def remove_until(
    groups: Sequence[ChannelGroup],
    models: Mapping[str, CostModel],
    holds: Callable[[Mapping[str, float]], str | None],
    *,
    round_to: int,
) -> dict[str, int]:
    """Root to the number of channels that stay.

    Step by step, the group goes that loses least for what it saves of the quantity that is furthest from its budget.
    What a step loses is a fraction of its group's importance, once for each layer that makes these channels. As a
    number of channels in place of a fraction, the few that run from block to block would go first, nearly all of them,
    since every block reads and writes them (docs/decisions/0005-latency-of-whole-networks.md).

    Args:
        groups: With their scores.
        models: Of each quantity that has a budget.
        holds: From what each quantity would be to the one that is furthest from its budget; None: all hold.
        round_to: Numbers stay multiples of this, but for :func:`least_channels`.

    Returns:
        The numbers; where the budget cannot be held, the least of each group whose going is predicted to save anything.
    """
    left = {group.root: group.channels for group in groups}
    whole = dict(left)
    ascending = {group.root: sorted(group.scores.repeat(group.copies).tolist()) for group in groups}
    steps = {group.root: step_of(group, round_to) for group in groups}
    least = {group.root: least_channels(group, round_to) for group in groups}

    layers = next(iter(models.values())).layers
    makers = makers_of(groups, layers)
    touched = {root: [one for one in layers if root == one.makes or root in one.takes] for root in left}
    now = dict.fromkeys(left, 1.0)
    costs = {name: model.predict(now) for name, model in models.items()}
    while True:
        furthest = holds(costs)
        if furthest is None:
            return left
        best: tuple[float, str, int] | None = None
        for root, number in left.items():
            # the first step also takes what is over a multiple
            fewer = number - (number % steps[root] or steps[root])
            fewer = max(fewer, least[root])
            if fewer >= number:
                continue
            gone = whole[root] - number
            lost = makers[root] * sum(ascending[root][gone : whole[root] - fewer]) / whole[root]
            saved = models[furthest].saving(now, root, fewer / whole[root], touched[root])
            if saved > 0 and (best is None or lost / saved < best[0]):
                best = (lost / saved, root, fewer)
        if best is None:
            return left
        _, root, fewer = best
        for name, model in models.items():
            costs[name] -= model.saving(now, root, fewer / whole[root], touched[root])
        left[root], now[root] = fewer, fewer / whole[root]
