"""The search for the INT8 form that keeps the accuracy and is fastest, on the machine it will run on.

For a device, speed and accuracy are measured there; only which format errs least on calibration images is computed
here, by the arithmetic that Q/DQ stands for where the device has other instructions.

Formats first (range method, bits of the weights), by the error they make on calibration images; then groups of layers
that are faster in float; then, where accuracy is lost, the fewest layers whose float wins it back; last the runtime's
options. The test split is only asked whether a candidate holds the limit, never which of two is better.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from exporters.target import HALVES
from pipeline.artifact import ArtifactKind
from pipeline.chain.engine_measurement import loaded_size
from pipeline.data.dataset import read_images
from pipeline.environment import this_machine
from pipeline.errors import ParityError
from pipeline.planning.accuracy_limit import AccuracyLimit, drop
from pipeline.planning.decision_record import Candidate, Decision, Tried
from pipeline.planning.precision_choice import Half, choose_precision, choose_without_int8
from pipeline.planning.runtime_options import best_options
from pipeline.planning.time_ratio import time_ratio
from pipeline.quantization.calibrated import read_calibration
from pipeline.quantization.dialects import dialect_named, saturates
from pipeline.quantization.groups import groups
from pipeline.quantization.sensitivity import layer_damages, outputs_of
from pipeline.quantization.share import int8_share
from pipeline.report.figures import points
from pipeline.stages.export import ExportFor
from pipeline.tasks import agreement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporters.target import Precision, Target
    from pipeline.artifact import Artifact
    from pipeline.chain.chain import Chain
    from pipeline.chain.engine_measurement import Measured
    from pipeline.chain.plan import Plan
    from pipeline.quantization.calibrated import Calibrated
    from pipeline.quantization.ranges import Method
    from pipeline.quantization.sensitivity import LayerDamage
    from pipeline.quantization.share import Int8Share

__all__ = ["SEARCH_IMAGES", "Search", "export_of", "written"]

SEARCH_IMAGES = 64
"""Calibration images by which forms are judged."""
_FIRST_IMAGES = 16
_HOPELESS = 1.5
"""A format whose error on the first images is so many times the best one's is not looked at further."""
_FASTER = 0.98
"""Layers go back to float only for a gain beyond the accuracy of the comparison."""
_AS_FAST = 1.02
"""Within the accuracy of the comparison."""
_FREE_LAYERS = 3
_LEAST_SHARE = 0.5
"""Of the multiply-accumulates that are INT8 before layers go back to float: with fewer a form is not called INT8."""
_SHARES = (0.5, 0.75, 0.9, 0.97, 0.99)
"""Of the damage of all layers together: what the sets of layers kept float take away, one set after the other."""


def export_of(plan: Plan, candidate: Candidate) -> ExportFor:
    """The stage that writes a candidate."""
    return ExportFor(
        method=candidate.method,
        float_nodes=candidate.float_nodes,
        bias_correction=plan.recipe.export.bias_correction,
        dialects=(candidate.dialect,),
    )


def written(plan: Plan, calibrated: Calibrated, candidate: Candidate, float_nodes: frozenset[str] = frozenset()) -> Any:  # noqa: ANN401 - ModelProto
    """The candidate's Q/DQ graph, with further nodes left in float."""
    return calibrated.quantised(
        candidate.method,
        dialect_named(candidate.dialect),
        float_nodes=frozenset(candidate.float_nodes) | float_nodes,
        bias_correction=plan.recipe.export.bias_correction,
    )


class Search:
    """One search; remembers what it tried.

    Args:
        chain: What is run.
        target: Where it will run.
        artifacts: Holds the calibration.
        floats: The float graph on the target.
    """

    def __init__(
        self, chain: Chain, target: Target, artifacts: Mapping[ArtifactKind, Artifact], floats: Measured
    ) -> None:
        self._chain, self._target, self._artifacts, self._floats = chain, target, artifacts, floats
        recipe, parts = chain.plan.recipe, chain.plan.parts
        self._section, self._asked = recipe.export, recipe.build.precision
        self._limit = AccuracyLimit(goal=recipe.goal, task=parts.task)
        machine, here = chain.plan.machine, this_machine()
        self._exact = (machine.architecture, machine.isa) != (here.architecture, here.isa)
        self._start, self._budget_s = time.monotonic(), recipe.build.budget_s
        self._calibrated = read_calibration(artifacts[ArtifactKind.CALIBRATION])
        self._images = list(read_images(parts.dataset.calibration[:SEARCH_IMAGES], parts.preprocess))
        self._tried: dict[Candidate, Tried] = {}
        self._least_macs = _LEAST_SHARE * self._share(self._formats()[0]).macs

    def run(self) -> Decision:
        """Formats, groups, layers, options.

        Raises:
            AccuracyError: when INT8 is required and does not reach the goal, or no layer of the network can run in it.
        """
        if not self._least_macs:
            return self._without_int8()
        best = self._best_format()
        damages: list[LayerDamage] = []
        if self._left_s() > 0:
            damages = self._damages(best)
        if self._asked == "auto":
            base = self._without_slow_groups(best)
            best = self._with_free_layers(base, damages)
            if not self._holds(best):
                best = self._accurate(base, damages) or best
        choice = choose_precision(
            self._asked, self._floats, self._measured(best), self._limit, ratio=self._ratio(best), half=self._half()
        )
        int8 = choice.precision == "int8"
        self._note(best, outcome="shipped" if int8 else f"{choice.precision} is shipped in its place")
        engine = self._engine(best) if int8 else self._unquantised(choice.precision)
        return Decision(
            precision=choice.precision,
            reason=choice.reason,
            candidate=best,
            options=best_options(self._chain, self._target, engine) if self._left_s() > 0 else {},
            tried=tuple(self._tried.values()),
            damages=tuple(damages),
            share=self._share(best),
        )

    def _without_int8(self) -> Decision:
        """The decision for a network in which nothing can run in INT8: it is float, whatever Q/DQ would be written."""
        first, half = self._formats()[0], self._half()
        choice = choose_without_int8(self._asked, self._floats, self._limit, half=half)
        self._note(first, outcome="no layer of it runs in INT8")
        return Decision(
            precision=choice.precision,
            reason=choice.reason,
            candidate=first,
            tried=tuple(self._tried.values()),
            share=self._share(first),
        )

    def _share(self, candidate: Candidate) -> Int8Share:
        return int8_share(self._calibrated.model, dialect_named(candidate.dialect), frozenset(candidate.float_nodes))

    def _is_int8(self, candidate: Candidate) -> bool:
        """Whether a form still deserves the name; told where it does not."""
        enough = self._share(candidate).macs >= self._least_macs
        if not enough:
            self._note(candidate, outcome="not INT8 any more: most multiplications would be float")
        return enough

    def _left_s(self) -> float:
        return self._budget_s - (time.monotonic() - self._start)

    def _note(self, candidate: Candidate, **figures: Any) -> None:  # noqa: ANN401 - fields of Tried
        known = self._tried.get(candidate, Tried(label=candidate.label, outcome=""))
        self._tried[candidate] = replace(known, **figures)

    # Formats

    def _formats(self) -> list[Candidate]:
        """The one that is usually best first: a budget may end the search at any point."""
        methods: tuple[Method, ...] = (
            ("mse", "minmax", "percentile", "entropy") if self._section.method == "auto" else (self._section.method,)
        )
        fixed = tuple(sorted(self._section.float_nodes))
        machine = self._chain.plan.machine
        full = self._target.dialect(machine)
        narrow = f"{full}-7bit"
        either = (narrow,) if self._exact else (full, narrow)  # what saturates there is not seen by exact arithmetic
        dialects = {8: (full,), 7: (narrow,), "auto": either if saturates(full, machine) else (full,)}
        return [
            Candidate(method=method, dialect=dialect, float_nodes=fixed, kept="export.float_nodes" if fixed else "")
            for dialect in dialects[self._section.weight_bits]
            for method in methods
        ]

    def _best_format(self) -> Candidate:
        first, *others = self._formats()
        if self._left_s() <= 0:
            return first
        task = self._limit.task
        reference = outputs_of(self._calibrated.model, self._images)
        best, least_early, least = first, math.inf, math.inf
        with self._chain.progress.track("INT8 formats", 1 + len(others)) as ticker:
            for candidate in (first, *others):
                ticker.advance(status=candidate.label)
                if self._left_s() <= 0:
                    self._note(candidate, outcome="not looked at: the budget was spent")
                    continue
                model = written(self._chain.plan, self._calibrated, candidate)
                outputs = outputs_of(model, self._images[:_FIRST_IMAGES], exact=self._exact)
                early = task.noise(outputs, reference[:_FIRST_IMAGES])
                if early > _HOPELESS * least_early:
                    self._note(candidate, noise=early, outcome=f"given up after {len(outputs)} images: more error")
                    continue
                outputs += outputs_of(model, self._images[_FIRST_IMAGES:], exact=self._exact)
                noise = task.noise(outputs, reference)
                alike = agreement(task, task.decide(outputs), task.decide(reference))
                self._note(candidate, noise=noise, agreement=alike, outcome="more error than the best")
                least_early = min(least_early, early)
                if noise < least:
                    best, least = candidate, noise
        self._note(best, outcome="the least error of all formats")
        return best

    def _damages(self, best: Candidate) -> list[LayerDamage]:
        return layer_damages(
            self._calibrated.model,
            lambda nodes: written(self._chain.plan, self._calibrated, best, nodes),
            self._images[:_FIRST_IMAGES],
            self._chain.progress,
            budget_s=self._left_s() / 3,
        )

    # Speed

    def _without_slow_groups(self, best: Candidate) -> Candidate:
        """The candidate with those groups in float that are slower in INT8 here."""
        found = groups(self._calibrated.model, dialect_named(best.dialect))
        single = {name: _with_float(best, nodes, name) for name, nodes in found.items()}
        faster = [name for name, candidate in single.items() if self._is_faster(candidate, best)]
        if not faster:
            return best
        together = _with_float(best, frozenset().union(*(found[name] for name in faster)), " and ".join(faster))
        contenders = (*(single[name] for name in faster), together)
        return min((one for one in contenders if self._is_int8(one)), key=self._ratio)

    def _is_faster(self, candidate: Candidate, best: Candidate) -> bool:
        if self._left_s() <= 0 or not self._is_int8(candidate):
            return False
        faster = self._ratio(candidate) < _FASTER * self._ratio(best)
        self._note(candidate, outcome="faster" if faster else "not faster than the same in INT8")
        return faster

    def _with_free_layers(self, best: Candidate, damages: Sequence[LayerDamage]) -> Candidate:
        """The worst layers in float as long as that costs no time: often a first layer of three channels."""
        chosen = best
        for count in range(1, min(_FREE_LAYERS, len(damages)) + 1):
            if self._left_s() <= 0:
                break
            candidate = _with_worst(best, damages, count)
            if not self._is_int8(candidate):
                break
            if self._ratio(candidate) > _AS_FAST * self._ratio(best):
                self._note(candidate, outcome="costs time")
                break
            self._note(candidate, outcome="more exact for nothing")
            chosen = candidate
        return chosen

    def _ratio(self, candidate: Candidate) -> float:
        """Its time over that of the float graph, side by side; measured once."""
        known = self._tried.get(candidate)
        if known is not None and known.time_ratio is not None:
            return known.time_ratio
        engine = self._engine(candidate)
        if self._left_s() > 0:
            ratio = time_ratio(self._chain, engine, self._unquantised("float"))
        else:
            ratio = self._measured(candidate).p50_s / self._floats.p50_s
        self._note(candidate, time_ratio=ratio, size_bytes=loaded_size(engine))
        return ratio

    # Accuracy

    def _accurate(self, best: Candidate, damages: Sequence[LayerDamage]) -> Candidate | None:
        """The candidate with the fewest layers in float that holds the limit; None when there is none."""
        fails, enough = 0, None
        for count in _counts(damages):
            if self._left_s() <= 0 or not self._is_int8(_with_worst(best, damages, count)):
                break
            if self._holds(_with_worst(best, damages, count)):
                enough = count
                break
            fails = count
        while enough is not None and enough - fails > 1 and self._left_s() > 0:
            middle = (fails + enough) // 2
            if self._holds(_with_worst(best, damages, middle)):
                enough = middle
            else:
                fails = middle
        return None if enough is None else _with_worst(best, damages, enough)

    def _holds(self, candidate: Candidate) -> bool:
        measured = self._measured(candidate)
        lost = drop(self._floats, measured)
        held = self._limit.holds(self._floats, measured)
        why = f"loses {points(lost)}" if lost > self._limit.goal.max_accuracy_drop else "answers too differently"
        self._note(candidate, accuracy_drop=lost, outcome="holds the limit" if held else why)
        return held

    # Engines

    def _measured(self, candidate: Candidate) -> Measured:
        return self._chain.measured(self._engine(candidate), self._target)

    def _engine(self, candidate: Candidate) -> Artifact:
        exported = self._chain.execute(export_of(self._chain.plan, candidate), self._artifacts).artifact
        return self._chain.engine(exported, self._target, source=candidate.file, precision="int8")

    def _unquantised(self, precision: Precision) -> Artifact:
        return self._chain.engine(self._artifacts[ArtifactKind.CALIBRATION], self._target, precision=precision)

    def _half(self) -> Half | None:
        """16-bit floats, where the target has them and the choice is not made."""
        precision = next((half for half in HALVES if half in self._target.precisions), None)
        if precision is None or self._asked != "auto" or self._left_s() <= 0:
            return None
        try:
            engine = self._unquantised(precision)
        except ParityError as error:  # this network has values that 16 bits do not hold
            self._chain.progress.note(f"{precision} is left out: {error.what}, {error.got}")
            return None
        measured = self._chain.measured(engine, self._target)
        return Half(
            precision=precision, measured=measured, ratio=time_ratio(self._chain, engine, self._unquantised("float"))
        )


def _with_float(candidate: Candidate, nodes: frozenset[str], why: str) -> Candidate:
    kept = f"{candidate.kept} and {why}" if candidate.kept else why
    return replace(candidate, float_nodes=tuple(sorted({*candidate.float_nodes, *nodes})), kept=kept)


def _with_worst(candidate: Candidate, damages: Sequence[LayerDamage], count: int) -> Candidate:
    nodes = frozenset(damage.node for damage in damages[:count])
    return _with_float(candidate, nodes, "the worst layer" if count == 1 else f"the {count} worst layers")


def _counts(damages: Sequence[LayerDamage]) -> list[int]:
    """How many of the worst layers make up each of the shares of all damage; errors of layers add up nearly."""
    whole = sum(damage.noise for damage in damages)
    counts: dict[int, None] = {}
    for share in _SHARES:
        removed, count = 0.0, 0
        while removed < share * whole and count < len(damages):
            removed += damages[count].noise
            count += 1
        counts[count] = None
    return list(counts)
