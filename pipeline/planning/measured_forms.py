"""INT8 forms of a network, each built and measured where it will run, at most once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.target import HALVES
from pipeline.artifact import ArtifactKind
from pipeline.chain.engine_measurement import loaded_size
from pipeline.errors import ParityError
from pipeline.planning.accuracy_limit import AccuracyLimit, drop
from pipeline.planning.int8_candidate import export_of
from pipeline.planning.precision_choice import Half
from pipeline.planning.time_ratio import time_ratio
from pipeline.planning.trials import Trials
from pipeline.quantization.calibrated import read_calibration
from pipeline.quantization.dialects import dialect_named
from pipeline.quantization.share import int8_share
from pipeline.report.figures import points

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporters.target import Precision, Target
    from pipeline.artifact import Artifact
    from pipeline.chain.chain import Chain
    from pipeline.chain.engine_measurement import Measured
    from pipeline.planning.int8_candidate import Candidate
    from pipeline.planning.time_ratio import TimeRatio
    from pipeline.quantization.share import Int8Share

__all__ = ["MeasuredForms"]


class MeasuredForms:
    """What is known of each form, and the time that is left for more.

    Args:
        chain: What is run.
        target: Where it will run.
        artifacts: Holds the calibration.
        floats: The float graph on the target.
        first: The form before any layer goes back to float.

    Attributes:
        calibrated: The calibration.
        limit: What INT8 may lose.
        trials: What was tried.
        most: How much of the arithmetic is INT8 before any layer goes back to float.
    """

    def __init__(
        self,
        chain: Chain,
        target: Target,
        artifacts: Mapping[ArtifactKind, Artifact],
        floats: Measured,
        first: Candidate,
    ) -> None:
        self._chain, self._target, self._artifacts, self._floats = chain, target, artifacts, floats
        build, goal = chain.plan.recipe.build, chain.plan.recipe.goal
        self._asked, self._budget_s = build.precision, build.budget_s
        self.trials = Trials(
            "INT8 forms and floats",
            {
                "build.precision": build.precision,
                "build.budget_s": f"{build.budget_s:g}",
                "goal.max_accuracy_drop": f"{goal.max_accuracy_drop:g}",
                "goal.min_agreement": goal.min_agreement,
            },
            chain.plan.place,
        )
        self.limit = AccuracyLimit(goal=goal, task=chain.plan.parts.task)
        self.calibrated = read_calibration(artifacts[ArtifactKind.CALIBRATION])
        self.most = self.share(first)
        self._ratios: dict[Candidate, TimeRatio] = {}

    def left_s(self) -> float:
        """Time that is left for looking, seconds."""
        return self._budget_s - self.trials.spent_s

    def note(self, candidate: Candidate, outcome: str | None = None, **figures: float) -> None:
        """What was found of a form; see :meth:`Trials.note`."""
        self.trials.note(candidate.label, outcome, figures)

    def share(self, candidate: Candidate) -> Int8Share:
        """How much of its arithmetic is INT8."""
        return int8_share(self.calibrated.model, dialect_named(candidate.dialect), frozenset(candidate.float_nodes))

    def is_int8(self, candidate: Candidate) -> bool:
        """Whether a form still deserves the name; told where it does not."""
        enough = self.share(candidate).is_int8
        if not enough:
            self.note(candidate, "not INT8 any more: most multiplications would be float")
        return enough

    def ratio(self, candidate: Candidate) -> TimeRatio:
        """Its time over that of the float graph, side by side; measured once, whatever is left of the budget."""
        if candidate not in self._ratios:
            engine = self.engine(candidate)
            ratio = self._ratios[candidate] = time_ratio(self._chain, engine, self.unquantised("float"))
            self.trials.note(candidate.label, figures={**_figures(ratio), "size_bytes": loaded_size(engine)})
        return self._ratios[candidate]

    def ratio_to_tell(self, candidate: Candidate) -> TimeRatio | None:
        """The same where it decides or there is time for it; None where neither is, and nothing was timed."""
        timed = candidate in self._ratios or self._asked == "auto" or self.left_s() > 0
        return self.ratio(candidate) if timed else None

    def holds(self, candidate: Candidate) -> bool:
        """Whether it loses no more than it may on the test split."""
        measured = self.measured(candidate)
        lost = drop(self._floats, measured)
        held = self.limit.holds(self._floats, measured)
        why = f"loses {points(lost)}" if lost > self.limit.goal.max_accuracy_drop else "answers too differently"
        self.note(candidate, "holds the limit" if held else why, accuracy_drop=lost)
        return held

    def measured(self, candidate: Candidate) -> Measured:
        """What it is on the target."""
        return self._chain.measured(self.engine(candidate), self._target)

    def engine(self, candidate: Candidate) -> Artifact:
        """What the target loads of it."""
        exported = self._chain.execute(export_of(self._chain.plan, candidate), self._artifacts).artifact
        return self._chain.engine(exported, self._target, source=candidate.file, precision="int8")

    def unquantised(self, precision: Precision) -> Artifact:
        """What the target loads of the float graph."""
        return self._chain.engine(self._artifacts[ArtifactKind.CALIBRATION], self._target, precision=precision)

    def half(self) -> Half | None:
        """16-bit floats, where the target has them and the choice is not made."""
        precision = next((half for half in HALVES if half in self._target.precisions), None)
        if precision is None or self._asked != "auto" or self.left_s() <= 0:
            return None
        try:
            engine = self.unquantised(precision)
        except ParityError as error:  # this network has values that 16 bits do not hold
            self.trials.note(precision, f"left out: {error.what}, {error.got}")
            return None
        measured = self._chain.measured(engine, self._target)
        ratio = time_ratio(self._chain, engine, self.unquantised("float"))
        lost = drop(self._floats, measured)
        figures = {**_figures(ratio), "accuracy_drop": lost, "size_bytes": loaded_size(engine)}
        fits = self.limit.holds(self._floats, measured)
        self.trials.note(precision, "not the fastest" if fits else "loses more accuracy than may be lost", figures)
        return Half(precision=precision, measured=measured, ratio=ratio)


def _figures(ratio: TimeRatio) -> dict[str, float]:
    return {"time_ratio": ratio.ratio, "time_ratio_low": ratio.low, "time_ratio_high": ratio.high}
