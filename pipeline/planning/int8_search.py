"""The search for the INT8 form that keeps the accuracy and is fastest, on the machine it will run on.

Formats first, by the error they make on calibration images; then groups of layers that are faster in float; then, where
accuracy is lost, the fewest layers whose float wins it back; last the runtime's options. The test split is only asked
whether a candidate holds the limit, never which of two is better.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from pipeline.chain.engine_measurement import loaded_size
from pipeline.planning.int8_decision import Decision
from pipeline.planning.int8_formats import Formats, formats
from pipeline.planning.measured_forms import MeasuredForms
from pipeline.planning.precision_choice import choose_precision, choose_without_int8, too_little
from pipeline.planning.runtime_options import best_options
from pipeline.quantization.dialects import dialect_named
from pipeline.quantization.groups import groups

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporters.target import Precision, Target
    from pipeline.artifact import Artifact, ArtifactKind, Json
    from pipeline.chain.chain import Chain
    from pipeline.chain.engine_measurement import Measured
    from pipeline.planning.int8_candidate import Candidate
    from pipeline.planning.precision_choice import Choice
    from pipeline.quantization.sensitivity import LayerDamage

__all__ = ["Search"]

_FASTER = 0.98
"""Layers go back to float only for a gain beyond the accuracy of the comparison."""
_AS_FAST = 1.02
"""Within the accuracy of the comparison."""
_FREE_LAYERS = 3
_SHARES = (0.5, 0.75, 0.9, 0.97, 0.99)
"""Of the damage of all layers together: what the sets of layers kept float take away, one set after the other."""


class Search:
    """One search.

    Args:
        chain: What is run.
        target: Where it will run.
        artifacts: Holds the calibration.
        floats: The float graph on the target.
        settled: As of :func:`~pipeline.planning.precision_choice.choose_precision`.
    """

    def __init__(
        self,
        chain: Chain,
        target: Target,
        artifacts: Mapping[ArtifactKind, Artifact],
        floats: Measured,
        settled: Precision | None = None,
    ) -> None:
        self._chain, self._target, self._floats, self._settled = chain, target, floats, settled
        self._asked = chain.plan.recipe.build.precision
        self._formats = formats(chain.plan, target)
        self._forms = MeasuredForms(chain, target, artifacts, floats, self._formats[0])

    def run(self) -> Decision:
        """Formats, groups, layers, options.

        Raises:
            AccuracyError: when INT8 is required and does not reach the goal, or too little of the network can be in it.
        """
        forms = self._forms
        figures = {"time_ratio": 1.0, "accuracy_drop": 0.0, "size_bytes": self._floats.size_bytes}
        forms.trials.note("float", "what the others are held against", figures)
        damages: list[LayerDamage] = []
        if not forms.most.is_int8:
            best = self._formats[0]
            choice = choose_without_int8(
                self._asked, forms.most, self._floats, forms.limit, half=forms.half(), settled=self._settled
            )
            forms.note(best, f"not INT8: {too_little(forms.most)}")
        else:
            best, damages = self._best()
            choice = choose_precision(
                self._asked,
                self._floats,
                forms.measured(best),
                forms.limit,
                ratio=forms.ratio_to_tell(best),
                half=forms.half(),
                settled=self._settled,
            )
        return self._decided(choice, best, damages)

    def _best(self) -> tuple[Candidate, list[LayerDamage]]:
        """The best INT8 form, and what its layers err."""
        computed = Formats(self._chain, self._target, self._forms)
        best = computed.best(self._formats)
        damages = computed.damages(best)
        if self._asked == "auto":
            base = self._without_slow_groups(best)
            left = [damage for damage in damages if damage.node not in base.float_nodes]
            best = self._with_free_layers(base, left)
            if not self._forms.holds(best):
                best = self._accurate(base, left) or best
        return best, damages

    def _decided(self, choice: Choice, best: Candidate, damages: Sequence[LayerDamage]) -> Decision:
        """The decision, with the options that its engine is fastest with where there is time to try them."""
        forms, precision = self._forms, choice.precision
        int8 = precision == "int8"
        if not int8 and forms.most.is_int8:
            forms.note(best, f"{precision} is shipped in its place")
        chosen = best.label if int8 else precision
        forms.trials.note(chosen, "shipped")
        options: Mapping[str, Json] = {}
        if forms.most.layers and forms.left_s() > 0:
            engine = forms.engine(best) if int8 else forms.unquantised(precision)
            with self._chain.phases.during("trying runtime options", whole=True, apart=True):
                options = best_options(self._chain, self._target, engine, left_s=forms.left_s())
        return Decision(
            precision=precision,
            candidate=best,
            choice=forms.trials.choice(chosen, choice.reason),
            options=options,
            damages=tuple(damages),
            share=forms.share(best),
        )

    # Speed

    def _without_slow_groups(self, best: Candidate) -> Candidate:
        """The candidate with those groups in float that are slower in INT8 here."""
        found = groups(self._forms.calibrated.model, dialect_named(best.dialect))
        single = {name: best.with_float(nodes, name) for name, nodes in found.items()}
        faster = [name for name, candidate in single.items() if self._is_faster(candidate, best)]
        if not faster:
            return best
        together = best.with_float(frozenset().union(*(found[name] for name in faster)), " and ".join(faster))
        contenders = [single[name] for name in faster]
        if self._forms.left_s() > 0 and self._forms.is_int8(together) and not self._is_too_large(together, best):
            contenders.append(together)
        fastest = min(contenders, key=lambda one: self._forms.ratio(one).ratio)
        if fastest != together and together in contenders:
            self._forms.note(together, "slower than one of them alone")
        return fastest

    def _is_faster(self, candidate: Candidate, best: Candidate) -> bool:
        forms = self._forms
        if forms.left_s() <= 0 or not forms.is_int8(candidate):
            return False
        if self._is_too_large(candidate, best):
            return False
        faster = forms.ratio(candidate).ratio < _FASTER * forms.ratio(best).ratio
        forms.note(candidate, "faster" if faster else "not faster than the same in INT8")
        return faster

    def _is_too_large(self, candidate: Candidate, best: Candidate) -> bool:
        """Whether its float layers make it larger than the size that was asked for, which the other one holds."""
        goal, forms = self._forms.limit.goal, self._forms
        if not isfinite(goal.most_bytes):
            return False
        size, without = (loaded_size(forms.engine(one)) for one in (candidate, best))
        if not without <= goal.most_bytes < size:
            return False
        forms.note(candidate, f"larger than goal.size={goal.size}")
        return True

    def _with_free_layers(self, best: Candidate, damages: Sequence[LayerDamage]) -> Candidate:
        """The worst layers in float as long as that costs no time: often a first layer of three channels."""
        forms, chosen = self._forms, best
        for count in range(1, min(_FREE_LAYERS, len(damages)) + 1):
            if forms.left_s() <= 0:
                break
            candidate = best.with_worst(damages, count)
            if not forms.is_int8(candidate) or self._is_too_large(candidate, best):
                break
            if forms.ratio(candidate).ratio > _AS_FAST * forms.ratio(best).ratio:
                forms.note(candidate, "costs time")
                break
            forms.note(candidate, "more exact for nothing")
            chosen = candidate
        return chosen

    # Accuracy

    def _accurate(self, best: Candidate, damages: Sequence[LayerDamage]) -> Candidate | None:
        """The candidate with the fewest layers in float that holds the limit; None when there is none."""
        forms = self._forms
        fails, enough = 0, None
        for wanted in _counts(damages):
            count = self._most_int8(best, damages, fails, wanted) if forms.left_s() > 0 else fails
            if count == fails:
                break
            if forms.holds(best.with_worst(damages, count)):
                enough = count
                break
            fails = count
            if count < wanted:
                break
        while enough is not None and enough - fails > 1 and forms.left_s() > 0:
            middle = (fails + enough) // 2
            if forms.holds(best.with_worst(damages, middle)):
                enough = middle
            else:
                fails = middle
        return None if enough is None else best.with_worst(damages, enough)

    def _most_int8(self, best: Candidate, damages: Sequence[LayerDamage], least: int, most: int) -> int:
        """With how many of the worst layers in float it is INT8 still, of ``least``, with which it is, to ``most``."""
        if self._forms.is_int8(best.with_worst(damages, most)):
            return most
        while most - least > 1:
            middle = (least + most) // 2
            if self._forms.is_int8(best.with_worst(damages, middle)):
                least = middle
            else:
                most = middle
        return least


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
