"""Deciding about INT8 once: what was searched for is kept in the store like a stage's result."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pipeline.artifact import ArtifactKind
from pipeline.chain.keys import key_of
from pipeline.planning.decision_record import Decision
from pipeline.planning.int8_search import Search
from pipeline.planning.kept_record import keep, kept

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporters.target import Target
    from pipeline.artifact import Artifact, Json
    from pipeline.chain.chain import Chain
    from pipeline.chain.engine_measurement import Measured
    from pipeline.chain.plan import Plan
    from pipeline.store import Store

__all__ = ["SEARCH", "decide", "decision_components", "recorded", "remember"]

SEARCH = "search"
"""What stands in place of a stage's name in the key."""

_VERSION = 6


def decision_components(plan: Plan, target: Target, calibration: Artifact) -> dict[str, Json]:
    """Everything that a decision depends on, the machine that measured among it; see ``key_components``."""
    recipe, parts = plan.recipe, plan.parts
    return {
        "stage": SEARCH,
        "version": _VERSION,
        **{name: getattr(recipe, name).model_dump(mode="json") for name in ("export", "build", "goal", "measure")},
        "seed": recipe.seed,
        "inputs": {"calibration": calibration.sha256},
        "target": target.name,
        "machine": plan.place.identity,
        "subject": {
            "calibration": parts.dataset.split_identity("calibration"),
            "test": parts.dataset.split_identity("test"),
            "preprocess": parts.preprocess.model_dump(mode="json"),
        },
        "versions": dict(plan.place.versions(target.distributions)),
    }


def recorded(components: Mapping[str, Json], store: Store) -> Decision | None:
    """What an earlier run decided about exactly this, or None."""
    value = kept(components, store)
    return None if value is None else Decision.from_json(value)


def remember(components: Mapping[str, Json], decision: Decision, store: Store, *, wall_s: float) -> None:
    """Keep a decision."""
    keep(components, decision.to_json(), store, wall_s=wall_s)


def decide(chain: Chain, target: Target, artifacts: Mapping[ArtifactKind, Artifact], floats: Measured) -> Decision:
    """The best INT8 form for a target and whether it is shipped: as given, from the store, else searched for.

    Args:
        chain: What is run.
        target: Where it will run.
        artifacts: Holds the calibration.
        floats: The float graph on the target.

    Raises:
        AccuracyError: when INT8 is required and does not reach the goal.
        ParityError: when what is given was chosen about another calibration.
    """
    if chain.given is not None:
        return chain.given.about_calibration(artifacts[ArtifactKind.CALIBRATION].sha256)
    components = decision_components(chain.plan, target, artifacts[ArtifactKind.CALIBRATION])
    with chain.store.exclusive(key_of(components)):
        known = recorded(components, chain.store)
        if known is not None:
            return known
        start = time.perf_counter()
        decision = Search(chain, target, artifacts, floats).run()
        remember(components, decision, chain.store, wall_s=time.perf_counter() - start)
    return decision
