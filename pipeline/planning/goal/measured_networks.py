"""Networks with fewer channels, blocks or pixels, each cut, calibrated, built and measured as it would ship."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING

from exporters.target import HALVES
from pipeline.artifact import ArtifactKind
from pipeline.chain.engine_measurement import loaded_size
from pipeline.data.dataset import judged_samples, rotating_samples
from pipeline.errors import ParityError, UsageError
from pipeline.planning.goal.budgets import Budgets
from pipeline.planning.goal.cut_network import CutNetwork
from pipeline.planning.goal.quick_graphs import QuickGraphs
from pipeline.planning.int8_candidate import export_of
from pipeline.planning.int8_formats import formats
from pipeline.planning.time_ratio import TimeRatio, kept_time_ratio
from pipeline.planning.trials import Trials
from pipeline.stages.calibrate import CalibrateGraph

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporters.target import Precision, Target
    from pipeline.artifact import Artifact, Json
    from pipeline.chain.chain import Chain
    from pipeline.chain.engine_measurement import Measured
    from pipeline.planning.goal.outline import Outline
    from pipeline.planning.int8_candidate import Candidate
    from pipeline.recipe.goal import Budget

__all__ = [
    "MeasuredNetwork",
    "MeasuredNetworks",
    "absolute_value",
    "bytes_bind",
    "doubt_of_latency",
    "engine_in",
    "fastest",
    "nothing_is_measured",
    "on_few_images",
    "planned_precision",
    "quickly_calibrated",
    "times_over_float",
]

_CALIBRATED_ON = 64
"""Images: what an inference costs does not depend on the ranges."""
_JUDGED_ON = 512
"""Test images: before recovery the accuracy chooses nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredNetwork:
    """What a plan is made with.

    Attributes:
        label: What it is.
        outline: Of it.
        kept: Root to the number of channels that are left.
        found: Quantity to what was measured: seconds, pieces, bytes, or a fraction of the unpruned network.
        outcome: What is told of it, with what makes it doubtful.
        doubt: The latter alone; empty where nothing is known to.
    """

    label: str
    outline: Outline
    kept: Mapping[str, int]
    found: Mapping[str, float]
    outcome: str
    doubt: str = ""

    def is_of(self, outline: Outline, kept: Mapping[str, int]) -> bool:
        """Whether it is the network of an outline with so many channels left, whenever and for what it was measured."""
        return (self.outline, self.kept) == (outline, kept)


class MeasuredNetworks:
    """What was measured, in order; the unpruned network has to come first.

    Where the target cannot run, multiplications and parameters are counted and nothing is built.

    Args:
        chain: What is run.
        target: Where it will run.
        network: Artifact of the unpruned network.
        precision: In which they are.

    Attributes:
        precision: As given.
        trials: What is told of them.
        every: The networks.
    """

    def __init__(self, chain: Chain, target: Target, network: Artifact, precision: Precision) -> None:
        self._chain, self._target, self._network = chain, target, network
        self._budgets = Budgets(chain.plan.recipe.goal.budgets())
        self._graphs = QuickGraphs(chain, network)
        self._base: Artifact | None = None
        self._unpruned: dict[str, float] = {}
        self._runs = chain.plan.cannot_run(target) is None
        self.precision: Precision = precision
        built = f"in {self.precision} for {target.name}" if self._runs else f"counted, for {target.name}"
        self.trials = Trials(f"networks {built}, before recovery", self._budgets.asked, chain.plan.place)
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
        before = self._chain.plan.parts.preprocess.size
        label = f"{what}, {outline.label}" if outline.gone or outline.size != before else what
        self.every.append(self._measured(label, outline, kept, predicted))
        return self.every[-1]

    def measure_anew(self, known: MeasuredNetwork) -> MeasuredNetwork:
        """The same network once more, in its place: where it was measured, something disturbed the machine."""
        place = self.every.index(known)
        self.every[place] = self._measured(known.label, known.outline, known.kept, anew=True)
        return self.every[place]

    def _measured(
        self,
        label: str,
        outline: Outline,
        kept: Mapping[str, int],
        predicted: Mapping[str, float] | None = None,
        *,
        anew: bool = False,
    ) -> MeasuredNetwork:
        """A network as it is measured, a latency in seconds ``anew`` whatever was kept of it.

        A comparison that was disturbed is not kept, and comes anew by itself.
        """
        chain, cut = self._cut(outline, kept)
        figures: dict[str, float] = {"params": cut.facts["params"]}
        doubts: list[str] = []
        measured, timed = None, None
        if self._runs:
            engine = self._engine(chain, cut, outline, self.precision)
            self._base = self._base or engine
            with chain.phases.during("measuring for the goal", whole=True, apart=True):
                again = anew and self._budgets.ask_for_seconds
                few = on_few_images(chain)
                few = few if self._budgets.need_processes else _in_one_process(few)
                measured = few.measured(engine, self._target, anew=again)
                timed = self._timed(engine)
            figures |= {"p50_s": measured.p50_s, "accuracy": measured.accuracy.value}
            doubts = doubt_of_latency(measured) if self._budgets.ask_for_seconds else []
        found: dict[str, float] = {
            budget.quantity: self._value(budget, cut, timed, measured) for budget in self._budgets.every
        }
        figures |= self._budgets.figures(found)
        outcome = "; ".join([self._budgets.outcome(found), *doubts])
        if timed is not None:
            figures |= {"latency_ratio_low": timed.low, "latency_ratio_high": timed.high}
            outcome += timed.doubt
            doubts += [f"latency {timed.doubt.removeprefix(', ')}"] if timed.doubt else []
        self.trials.note(label, outcome, figures, self._budgets.figures(predicted or {}))
        return MeasuredNetwork(
            label=label, outline=outline, kept=dict(kept), found=found, outcome=outcome, doubt="; ".join(doubts)
        )

    def with_all_channels(self, outline: Outline) -> MeasuredNetwork:
        """What was measured of an outline first; measured now where nothing was."""
        return self.once("all channels", outline, outline.all_channels)

    def once(self, what: str, outline: Outline, kept: Mapping[str, int]) -> MeasuredNetwork:
        """What was measured of a network; measured now where nothing was; arguments as of :meth:`measure`."""
        found = next((one for one in self.every if one.is_of(outline, kept)), None)
        return found or self.measure(what, outline, kept)

    def without_blocks(self, gone: tuple[str, ...]) -> Artifact:
        """The unpruned network without some of its blocks."""
        if not gone:
            return self._network
        section = self._chain.plan.recipe.prune
        stage = CutNetwork(channels={}, blocks=gone, importance=section.importance, keep=section.keep)
        return self._chain.execute(stage, {ArtifactKind.NETWORK: self._network}).artifact

    def times_over_float(self, network: MeasuredNetwork, *, halves: bool) -> dict[Precision, TimeRatio]:
        """The times of a network in each precision that may ship; as :func:`times_over_float`."""
        chain, cut = self._cut(network.outline, network.kept)
        made = partial(self._engine, chain, cut, network.outline)
        return times_over_float(chain, self._target, made, halves=halves)

    def _cut(self, outline: Outline, kept: Mapping[str, int]) -> tuple[Chain, Artifact]:
        """A network with so many channels left, and the chain that feeds it images of its size."""
        section, before = self._chain.plan.recipe.prune, self._chain.plan.parts.preprocess.size
        chain = self._chain.fed(self._chain.plan.parts.preprocess.at(outline.size))
        cut = self.without_blocks(outline.gone)
        fewer = outline.fewer(kept)
        if fewer or outline.size != before:
            stage = CutNetwork(
                channels=fewer,
                before=None if outline.size == before else before,
                importance=section.importance,
                keep=section.keep,
            )
            cut = chain.execute(stage, {ArtifactKind.NETWORK: cut}).artifact
        return chain, cut

    def _engine(self, chain: Chain, cut: Artifact, outline: Outline, precision: Precision) -> Artifact:
        form = formats(chain.plan, self._target)[0]
        if outline.gone:  # the nodes that the recipe names are others there
            form = replace(form, float_nodes=(), kept="")
        return engine_in(chain, self._target, self._graphs.of(chain, cut), precision, form)

    def _timed(self, engine: Artifact) -> TimeRatio | None:
        """Its time over that of the unpruned network; None where no budget is about that."""
        if not any(budget.quantity == "latency" and budget.relative for budget in self._budgets.every):
            return None
        assert self._base is not None  # noqa: S101 - the unpruned network is measured first
        if engine.sha256 == self._base.sha256:
            return TimeRatio(ratio=1.0, low=1.0, high=1.0)
        return kept_time_ratio(self._chain, engine, self._base, self._target.distributions)

    def _value(self, budget: Budget, network: Artifact, timed: TimeRatio | None, measured: Measured | None) -> float:
        """What the network has of a quantity; a fraction of the unpruned one where the budget is one.

        Raises:
            UsageError: where nobody tells.
        """
        if budget.quantity == "latency" and timed is not None:
            return timed.ratio
        value = absolute_value(budget.quantity, network.facts, measured)
        if value is None:
            raise UsageError(
                f"{budget.quantity} is not told by the system that measures, so that it cannot be planned for",
                where=f"goal.{budget.quantity}",
                got=budget.text,
                fix="leave it out",
            )
        if not budget.relative:
            return value
        return value / self._unpruned.setdefault(budget.quantity, value)


def nothing_is_measured(chain: Chain, target: Target) -> bool:
    """Whether a plan only counts: what is asked for can be counted, or the target cannot run."""
    return Budgets(chain.plan.recipe.goal.budgets()).are_counted or chain.plan.cannot_run(target) is not None


def planned_precision(chain: Chain, target: Target, network: Artifact, *, halves: bool = True) -> Precision:
    """In what a plan is measured: what the recipe asks for, else what the target is fastest in.

    A size in bytes that float does not hold is held by the most channels in INT8, which ships where it alone holds it.
    Whether INT8 or 16-bit floats then lose little enough accuracy to be shipped shows after recovery alone.

    Args:
        chain: What is run.
        target: Where it will run.
        network: Artifact of the unpruned network.
        halves: Whether 16-bit floats may be taken.
    """
    recipe = chain.plan.recipe
    if recipe.build.precision != "auto":
        return recipe.build.precision
    may_be_int8 = "int8" in target.precisions
    if nothing_is_measured(chain, target):
        return "int8" if may_be_int8 else "float"
    if may_be_int8 and ("int8" in recipe.goal.require or bytes_bind(chain, target, network)):
        return "int8"
    return fastest(times_over_float(chain, target, partial(engine_in, chain, target, network), halves=halves))


def bytes_bind(chain: Chain, target: Target, network: Artifact) -> bool:
    """Whether a size in bytes is asked for that the unpruned network does not hold in float."""
    most = chain.plan.recipe.goal.most_bytes
    return isfinite(most) and loaded_size(engine_in(chain, target, network, "float")) > most


def times_over_float(
    chain: Chain, target: Target, made: Callable[[Precision], Artifact], *, halves: bool
) -> dict[Precision, TimeRatio]:
    """The times of a network in each precision that may ship over its time in float, which is the first of them.

    A comparison during which something disturbed the machine is made once more.

    Args:
        chain: What is run.
        target: Where.
        made: From a precision to the network's engine.
        halves: Whether 16-bit floats may ship.
    """
    engines: dict[Precision, Artifact] = {"int8": made("int8")} if "int8" in target.precisions else {}
    for half in (half for half in HALVES if halves and half in target.precisions):
        # a network may have values that 16 bits do not hold
        with suppress(ParityError):
            engines[half] = made(half)
    found: dict[Precision, TimeRatio] = {"float": TimeRatio(ratio=1.0, low=1.0, high=1.0)}
    if not engines:
        return found
    floats = made("float")
    for precision, engine in engines.items():
        ratio = kept_time_ratio(chain, engine, floats, target.distributions)
        if ratio.unfit:
            ratio = kept_time_ratio(chain, engine, floats, target.distributions)
        found[precision] = ratio
    return found


def fastest(times: Mapping[Precision, TimeRatio]) -> Precision:
    """The precision that takes least; float where another one takes as long."""
    return min(times, key=lambda one: times[one].ratio)


def on_few_images(chain: Chain) -> Chain:
    """The same chain with some of the test images, where networks are measured whose accuracy chooses nothing."""
    parts = chain.plan.parts
    few = replace(parts.dataset, test=judged_samples(parts.dataset.test, _JUDGED_ON))
    return chain.about(replace(parts, dataset=few))


def _in_one_process(chain: Chain) -> Chain:
    """The same chain that times an engine by itself in one process: enough for a point of a picture."""
    recipe = chain.plan.recipe
    once = recipe.model_copy(update={"measure": recipe.measure.model_copy(update={"processes": 1})})
    return replace(chain, plan=replace(chain.plan, recipe=once))


def engine_in(
    chain: Chain,
    target: Target,
    network: Artifact,
    precision: Precision,
    form: Candidate | None = None,
    options: Mapping[str, Json] | None = None,
) -> Artifact:
    """A network's engine in a precision.

    Args:
        chain: What is run.
        target: Where.
        network: Artifact of it, or of its float graph.
        precision: Of the engine.
        form: Of INT8; None: the usual one, with those nodes in float that the recipe names.
        options: Of the runtime, over the target's defaults.
    """
    if precision != "int8":
        return chain.engine(network, target, precision=precision, options=options)
    form = form or formats(chain.plan, target)[0]
    calibrated = quickly_calibrated(chain, network)
    exported = chain.execute(export_of(chain.plan, form), {ArtifactKind.CALIBRATION: calibrated}).artifact
    return chain.engine(exported, target, source=form.file, precision="int8", options=options)


def quickly_calibrated(chain: Chain, network: Artifact) -> Artifact:
    """A network's calibration on few images; arguments as of :func:`engine_in`."""
    plan = chain.plan
    dataset = plan.parts.dataset
    few = replace(dataset, calibration=rotating_samples(dataset.calibration, _CALIBRATED_ON))
    own = chain.about(replace(plan.parts, dataset=few))
    graph = network if network.kind is ArtifactKind.ONNX else chain.lowered(network)
    return own.execute(CalibrateGraph(), {ArtifactKind.ONNX: graph}).artifact


def absolute_value(quantity: str, facts: Mapping[str, Json], measured: Measured | None) -> float | None:
    """What a network has of a quantity: seconds, pieces or bytes; None where nobody tells.

    Args:
        quantity: As in a goal.
        facts: Of the network: parameters and multiplications.
        measured: Of its engine; None where the target cannot run.
    """
    if quantity in {"macs", "params"}:
        return float(facts[quantity])
    if measured is None:
        return None
    match quantity:
        case "latency":
            return measured.p50_s
        case "size":
            return float(measured.size_bytes)
        case _:
            peak = measured.solo.memory_bytes()[0]["peak"]
            return None if peak is None else float(peak)


def doubt_of_latency(measured: Measured) -> list[str]:
    """What makes a latency in seconds doubtful, if anything; a fraction, taken side by side, has doubts of its own."""
    warnings = measured.solo.warnings()
    return [f"latency in doubt: {', '.join(warnings)}"] if warnings else []
