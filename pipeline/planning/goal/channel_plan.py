"""The channels that should stay for a budget, by all that was measured so far."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.planning.goal.cost_model import Observation, fit_cost_model
from pipeline.planning.goal.removal import remove_until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.planning.goal.budgets import Budgets
    from pipeline.planning.goal.cost_model import CostModel
    from pipeline.planning.goal.measured_networks import MeasuredNetworks
    from pipeline.planning.goal.outline import Outline

__all__ = ["BY_PARAMS", "ChannelPlanner"]

BY_PARAMS = frozenset({"params", "size", "memory"})
"""Quantities whose unit of work is a parameter; of others it is a multiplication."""


class ChannelPlanner:
    """Plans with what is measured when it is asked.

    A network with smaller inputs is taken to cost the same fraction of what it costs with larger ones whatever its
    channels; one without some blocks what the layers cost that it has. What was measured of the outline itself comes
    last and is met exactly.

    Args:
        budgets: What is to be held.
        networks: What was measured.
    """

    def __init__(self, budgets: Budgets, networks: MeasuredNetworks) -> None:
        self._budgets, self._networks = budgets, networks

    def planned(self, outline: Outline, aim: float) -> tuple[dict[str, int], dict[str, float]]:
        """Root to the number of channels that stay, and what each quantity should then be.

        Args:
            outline: Within which; measured with all its channels.
            aim: Fraction of the budgets that is to be used.
        """
        known = sorted(self._networks.every, key=lambda one: (one.outline == outline, one.outline.size == outline.size))
        shares = self._share(outline)
        models: dict[str, CostModel] = {}
        for budget in self._budgets.every:
            name = budget.quantity
            seen = [
                Observation(
                    layers=one.outline.layers,
                    left=one.outline.fractions(one.kept),
                    cost=one.found[name] / self._share(one.outline)[name],
                )
                for one in known
            ]
            models[name] = fit_cost_model(seen, by_params=name in BY_PARAMS)

        def furthest(costs: Mapping[str, float]) -> str | None:
            return self._budgets.furthest({name: cost * shares[name] for name, cost in costs.items()}, aim)

        kept = remove_until(outline.groups, models, furthest, round_to=outline.round_to)
        left = outline.fractions(kept)
        return kept, {name: model.predict(left) * shares[name] for name, model in models.items()}

    def _share(self, outline: Outline) -> dict[str, float]:
        """What each quantity is at a size with all blocks and channels, as a fraction of what it is unpruned."""
        unpruned = self._networks.every[0]
        small = self._networks.with_all_channels(replace(unpruned.outline, size=outline.size))
        return {name: small.found[name] / cost for name, cost in unpruned.found.items()}
