"""Planning channels once: what was found is kept in the store like a stage's result."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pipeline.chain.keys import key_of
from pipeline.environment import this_machine, versions
from pipeline.planning.channels.channel_search import ChannelSearch
from pipeline.planning.channels.plan_record import ChannelPlan
from pipeline.planning.kept_record import keep, kept

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporters.target import Target
    from pipeline.artifact import Artifact, Json
    from pipeline.chain.chain import Chain
    from pipeline.chain.plan import Plan
    from pipeline.store import Store

__all__ = ["CHANNELS", "channel_components", "plan_channels", "recorded_channels"]

CHANNELS = "channels"
"""What stands in place of a stage's name in the key."""

_VERSION = 1
_OF_PRUNE = {"importance", "keep", "round_to"}


def channel_components(plan: Plan, target: Target, network: Artifact) -> dict[str, Json]:
    """Everything that a plan depends on, the machine that measured among it; see ``key_components``."""
    recipe, parts = plan.recipe, plan.parts
    return {
        "stage": CHANNELS,
        "version": _VERSION,
        **{name: getattr(recipe, name).model_dump(mode="json") for name in ("calibrate", "export", "build", "measure")},
        "goal": {budget.quantity: budget.text for budget in recipe.goal.budgets()},
        "prune": recipe.prune.model_dump(mode="json", include=_OF_PRUNE),
        "seed": recipe.seed,
        "inputs": {"network": network.sha256},
        "target": target.name,
        "machine": this_machine().machine_class,
        "subject": {
            "train": parts.dataset.split_identity("train"),
            "calibration": parts.dataset.split_identity("calibration"),
            "test": parts.dataset.split_identity("test"),
            "preprocess": parts.preprocess.model_dump(mode="json"),
        },
        "versions": versions((*target.distributions, "torch", "torch-pruning")),
    }


def recorded_channels(components: Mapping[str, Json], store: Store) -> ChannelPlan | None:
    """What an earlier run planned for exactly this, or None."""
    value = kept(components, store)
    return None if value is None else ChannelPlan.from_json(value)


def plan_channels(chain: Chain, target: Target, network: Artifact) -> ChannelPlan:
    """The channels that stay so that the goal holds on a target: from the store, else searched for.

    Args:
        chain: What is run.
        target: Where it will run.
        network: Artifact of the unpruned network.

    Raises:
        GoalError: when a budget cannot be held whatever goes.
    """
    components = channel_components(chain.plan, target, network)
    with chain.store.exclusive(key_of(components)):
        known = recorded_channels(components, chain.store)
        if known is not None:
            return known
        start = time.perf_counter()
        found = ChannelSearch(chain, target, network).run()
        keep(components, found.to_json(), chain.store, wall_s=time.perf_counter() - start)
    return found
