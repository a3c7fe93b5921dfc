"""Networks with fewer channels or pixels, each cut, calibrated, built and measured as it would ship."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.artifact import ArtifactKind
from pipeline.data.dataset import rotating_samples
from pipeline.planning.decision_record import Candidate
from pipeline.planning.goal.cut_network import CutNetwork
from pipeline.planning.goal.plan_record import TriedNetwork
from pipeline.planning.int8_search import export_of
from pipeline.planning.time_ratio import time_ratio

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporters.target import Precision, Target
    from pipeline.artifact import Artifact, Json
    from pipeline.chain.chain import Chain
    from pipeline.chain.engine_measurement import Measured
    from pipeline.recipe.goal import Budget

__all__ = ["MeasuredNetworks", "absolute_value", "engine_in", "shipped_precision"]


_CALIBRATED_ON = 64
"""Images: what an inference costs does not depend on the ranges."""


class MeasuredNetworks:
    """What was measured, in order; the unpruned network has to come first.

    Args:
        chain: What is run.
        target: Where it will run.
        network: Artifact of the unpruned network.
        whole: Root of each group to its number of channels there.

    Attributes:
        tried: The networks.
        left: For each of them, root to the fraction of its channels that are left.
        size: Of the unpruned network's input.
    """

    def __init__(self, chain: Chain, target: Target, network: Artifact, whole: Mapping[str, int]) -> None:
        self._chain, self._target, self._network, self._whole = chain, target, network, whole
        recipe = chain.plan.recipe
        self._section, self._budgets = recipe.prune, recipe.goal.budgets()
        self._base: Artifact | None = None
        self._unpruned: dict[str, float] = {}
        self.size = chain.plan.parts.preprocess.size
        self.precision = shipped_precision(chain, target)
        self.tried: list[TriedNetwork] = []
        self.left: list[dict[str, float]] = []

    def measure(
        self,
        label: str,
        kept: Mapping[str, int],
        predicted: Mapping[str, float] | None = None,
        *,
        size: tuple[int, int] | None = None,
    ) -> TriedNetwork:
        """A network with so many channels left.

        Args:
            label: What it is, for a table.
            kept: Root to number.
            predicted: Quantity to what it was said to be.
            size: Height and width of its input; None: that of the unpruned network.
        """
        size = size or self.size
        chain = self._chain.fed(self._chain.plan.parts.preprocess.at(size))
        fewer = self.fewer(kept)
        cut = self._network
        if fewer or size != self.size:
            stage = CutNetwork(
                channels=fewer,
                before=None if size == self.size else self.size,
                importance=self._section.importance,
                keep=self._section.keep,
            )
            cut = chain.execute(stage, {ArtifactKind.NETWORK: self._network}).artifact
        engine, measured = engine_in(chain, self._target, cut, self.precision)
        self._base = self._base or engine
        found: dict[str, float] = {
            budget.quantity: self._value(budget, cut, engine, measured) for budget in self._budgets
        }
        tried = TriedNetwork(
            label=label,
            size=size,
            predicted=dict(predicted or {}),
            found=found,
            accuracy=measured.accuracy.value,
            params=cut.facts["params"],
            p50_s=measured.p50_s,
        )
        self.tried.append(tried)
        self.left.append(self.fractions(kept))
        return tried

    def fractions(self, kept: Mapping[str, int]) -> dict[str, float]:
        """Root to what is left of its channels."""
        return {root: kept[root] / number for root, number in self._whole.items()}

    def fewer(self, kept: Mapping[str, int]) -> dict[str, int]:
        """Only the groups that lose channels."""
        return {root: number for root, number in kept.items() if number < self._whole[root]}

    def _value(self, budget: Budget, network: Artifact, engine: Artifact, measured: Measured) -> float:
        """What the network has of a quantity; a fraction of the unpruned one where the budget is one."""
        if budget.quantity == "latency" and budget.relative:
            assert self._base is not None  # noqa: S101 - the unpruned network is measured first
            return 1.0 if engine.sha256 == self._base.sha256 else time_ratio(self._chain, engine, self._base)
        value = absolute_value(budget.quantity, network.facts, measured)
        if not budget.relative:
            return value
        return value / self._unpruned.setdefault(budget.quantity, value)


def shipped_precision(chain: Chain, target: Target) -> Precision:
    """In what a plan is measured: what the recipe asks for, else INT8 where the target has it."""
    asked = chain.plan.recipe.build.precision
    if asked != "auto":
        return asked
    return "int8" if "int8" in target.precisions else "float"


def engine_in(
    chain: Chain,
    target: Target,
    network: Artifact,
    precision: Precision,
    options: Mapping[str, Json] | None = None,
) -> tuple[Artifact, Measured]:
    """A network's engine in a precision, INT8 in its usual form, and what that is on the target.

    Args:
        chain: What is run.
        target: Where.
        network: Artifact.
        precision: Of the engine.
        options: Of the runtime, over the target's defaults.
    """
    plan = chain.plan
    if precision != "int8":
        engine = chain.engine(network, target, precision=precision, options=options)
        return engine, chain.measured(engine, target)
    candidate = Candidate(
        method="mse" if plan.recipe.export.method == "auto" else plan.recipe.export.method,
        dialect=target.dialect(plan.machine),
    )
    dataset = plan.parts.dataset
    few = replace(dataset, calibration=rotating_samples(dataset.calibration, _CALIBRATED_ON))
    own = chain.about(replace(plan.parts, dataset=few))
    calibrated = own.execute(plan.recipe.calibrate, {ArtifactKind.NETWORK: network}).artifact
    exported = chain.execute(export_of(plan, candidate), {ArtifactKind.CALIBRATION: calibrated}).artifact
    engine = chain.engine(exported, target, source=candidate.file, precision="int8", options=options)
    return engine, chain.measured(engine, target)


def absolute_value(quantity: str, facts: Mapping[str, Json], measured: Measured) -> float:
    """What a network has of a quantity: seconds, pieces or bytes.

    Args:
        quantity: As in a goal.
        facts: Of the network: parameters and multiplications.
        measured: Of its engine.
    """
    match quantity:
        case "latency":
            return measured.p50_s
        case "size":
            return float(measured.size_bytes)
        case "memory":
            return float(measured.solo.memory_bytes()[0]["peak"] or 0)
        case _:
            return float(facts[quantity])
