"""Networks with fewer channels, blocks or pixels, each cut, calibrated, built and measured as it would ship."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.artifact import ArtifactKind
from pipeline.data.dataset import rotating_samples
from pipeline.planning.goal.budgets import Budgets
from pipeline.planning.goal.cut_network import CutNetwork
from pipeline.planning.int8_candidate import export_of
from pipeline.planning.int8_formats import formats
from pipeline.planning.time_ratio import TimeRatio, time_ratio
from pipeline.planning.trials import Trials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporters.target import Precision, Target
    from pipeline.artifact import Artifact, Json
    from pipeline.chain.chain import Chain
    from pipeline.chain.engine_measurement import Measured
    from pipeline.planning.goal.outline import Outline
    from pipeline.recipe.goal import Budget

__all__ = ["MeasuredNetwork", "MeasuredNetworks", "absolute_value", "engine_in", "shipped_precision"]

_CALIBRATED_ON = 64
"""Images: what an inference costs does not depend on the ranges."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredNetwork:
    """What a plan is made with.

    Attributes:
        label: What it is.
        outline: Of it.
        kept: Root to the number of channels that are left.
        found: Quantity to what was measured: seconds, pieces, bytes, or a fraction of the unpruned network.
    """

    label: str
    outline: Outline
    kept: Mapping[str, int]
    found: Mapping[str, float]


class MeasuredNetworks:
    """What was measured, in order; the unpruned network has to come first.

    Args:
        chain: What is run.
        target: Where it will run.
        network: Artifact of the unpruned network.

    Attributes:
        trials: What is told of them.
        every: The networks.
    """

    def __init__(self, chain: Chain, target: Target, network: Artifact) -> None:
        self._chain, self._target, self._network = chain, target, network
        self._budgets = Budgets(chain.plan.recipe.goal.budgets())
        self._base: Artifact | None = None
        self._unpruned: dict[str, float] = {}
        self.precision = shipped_precision(chain, target)
        self.trials = Trials(f"networks in {self.precision}, before recovery", self._budgets.asked)
        self.every: list[MeasuredNetwork] = []

    def measure(
        self, what: str, outline: Outline, kept: Mapping[str, int], predicted: Mapping[str, float] | None = None
    ) -> MeasuredNetwork:
        """A network with so many channels left.

        Args:
            what: It is, for a table.
            outline: Of it.
            kept: Root to number.
            predicted: Quantity to what it was said to be.
        """
        section, before = self._chain.plan.recipe.prune, self._chain.plan.parts.preprocess.size
        chain = self._chain.fed(self._chain.plan.parts.preprocess.at(outline.size))
        cut = self.without_blocks(outline.gone)
        label = f"{what}, {outline.label}" if outline.gone or outline.size != before else what
        fewer = outline.fewer(kept)
        if fewer or outline.size != before:
            stage = CutNetwork(
                channels=fewer,
                before=None if outline.size == before else before,
                importance=section.importance,
                keep=section.keep,
            )
            cut = chain.execute(stage, {ArtifactKind.NETWORK: cut}).artifact
        engine, measured = engine_in(chain, self._target, cut, self.precision)
        self._base = self._base or engine
        timed = self._timed(engine)
        found: dict[str, float] = {
            budget.quantity: self._value(budget, cut, timed, measured) for budget in self._budgets.every
        }
        figures = {"params": cut.facts["params"], "p50_s": measured.p50_s, "accuracy": measured.accuracy.value}
        figures |= self._budgets.figures(found)
        outcome = self._budgets.outcome(found)
        if timed is not None:
            figures |= {"latency_ratio_low": timed.low, "latency_ratio_high": timed.high}
            outcome += timed.doubt
        self.trials.note(label, outcome, figures, self._budgets.figures(predicted or {}))
        self.every.append(MeasuredNetwork(label=label, outline=outline, kept=dict(kept), found=found))
        return self.every[-1]

    def with_all_channels(self, outline: Outline) -> MeasuredNetwork:
        """What was measured of an outline first; measured now where nothing was."""
        found = next((one for one in self.every if one.outline == outline and one.kept == outline.all_channels), None)
        return found or self.measure("all channels", outline, outline.all_channels)

    def without_blocks(self, gone: tuple[str, ...]) -> Artifact:
        """The unpruned network without some of its blocks."""
        if not gone:
            return self._network
        section = self._chain.plan.recipe.prune
        stage = CutNetwork(channels={}, blocks=gone, importance=section.importance, keep=section.keep)
        return self._chain.execute(stage, {ArtifactKind.NETWORK: self._network}).artifact

    def _timed(self, engine: Artifact) -> TimeRatio | None:
        """Its time over that of the unpruned network; None where no budget is about that."""
        if not any(budget.quantity == "latency" and budget.relative for budget in self._budgets.every):
            return None
        assert self._base is not None  # noqa: S101 - the unpruned network is measured first
        if engine.sha256 == self._base.sha256:
            return TimeRatio(ratio=1.0, low=1.0, high=1.0)
        return time_ratio(self._chain, engine, self._base)

    def _value(self, budget: Budget, network: Artifact, timed: TimeRatio | None, measured: Measured) -> float:
        """What the network has of a quantity; a fraction of the unpruned one where the budget is one."""
        if budget.quantity == "latency" and timed is not None:
            return timed.ratio
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
    candidate = replace(formats(plan, target)[0], float_nodes=(), kept="")  # nodes may be gone with their block
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
