"""Whether the network is fed as in its training: what speaks against it, found before anybody believes a verdict.

A verdict compares with the baseline. One that is fed wrongly loses most of its accuracy before the comparison starts,
and everything behind it is then "no accuracy lost".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.statistics.paired_metric import upper_bound
from pipeline.data.dataset import rotating_samples, shorter_side
from pipeline.errors import AccuracyError
from pipeline.report.figures import percent
from pipeline.scipy_parts import scipy_part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.artifact import Artifact
    from pipeline.chain.engine_measurement import Measured
    from pipeline.chain.plan import Plan
    from pipeline.runner.report_rows import Outcome
    from pipeline.subject import Parts
    from pipeline.tasks import Accuracy, Task

__all__ = ["check_expectation", "doubt_of_teacher", "doubts_of"]

_ENLARGED = 2.0
_REDUCED = 16.0
"""An image is fed at twice its own size or at a sixteenth of it: photographs of a telephone are reduced by 10 to 14."""
_CHANCE = 0.01
"""An accuracy this unlikely under the one that is expected is told to be another."""


def check_expectation(plan: Plan, baseline: Measured) -> None:
    """Hold the baseline against the accuracy that the user expects of it.

    Raises:
        AccuracyError: when it is lower than the number of test images explains (one-sided, 1 %: exact binomial where
            an image is a hit or a miss, else bootstrap over the images).
    """
    expected, found = plan.recipe.goal.expect_accuracy, baseline.accuracy
    if expected is None or not _is_unlikely(plan.parts.task, found, expected):
        return
    raise AccuracyError(
        "the network as given is less accurate than expected",
        where="baseline",
        got=f"{percent(found.value)} {found.metric} on {found.n} test images",
        expected=percent(expected),
        fix=f"is it fed as in its training? `edgewright preprocess {plan.recipe.model}` tries the usual ways",
    )


def _is_unlikely(task: Task, found: Accuracy, expected: float) -> bool:
    bdtr = scipy_part("special").bdtr
    if task.hit_or_miss:
        return bool(bdtr(round(found.value * found.n), found.n, expected) < _CHANCE)
    return upper_bound(task, found, alpha=_CHANCE) < expected


def doubts_of(plan: Plan, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """What speaks against the preprocessing, or the training; empty when nothing does.

    Args:
        plan: Of the run, with what its networks turned out to be.
        outcomes: Its stages, the baseline first.
    """
    found = (_near_chance(plan, outcomes[0].measured), _other_sizes(plan, min(outcomes[0].preprocess.size)))
    return (*(doubt for doubt in found if doubt), *plan.doubts)


def _near_chance(plan: Plan, baseline: Measured | None) -> str | None:
    if baseline is None:
        return None
    told = _hardly_learned(plan.parts, baseline)
    if told is None:
        return None
    why = (
        f"it has hardly learned anything: raise {_epochs_of_baseline(plan)}"
        if plan.parts.weights.origin == "scratch"
        else f"is it fed as in its training? `edgewright preprocess {plan.recipe.model}` tries the usual ways"
    )
    return f"the baseline {told}: {why}"


def _epochs_of_baseline(plan: Plan) -> str:
    """What decides how long it is trained: what distill says, which is left comparable only where both change.

    A recipe that was resolved writes the schedule out that the baseline has from there: none is told from the other.
    """
    if "distill" in plan.skipped or not plan.baseline_as_distill:
        return "baseline.schedule.epochs"
    return "distill.schedule.epochs, and baseline.schedule.epochs where the recipe has one"


def _hardly_learned(parts: Parts, measured: Measured) -> str | None:
    return parts.task.hardly_learned(measured.accuracy, parts.dataset.test)


def doubt_of_teacher(teacher: Parts, network: Artifact, measured: Measured | None) -> str | None:
    """What speaks against a teacher: it hardly knows more than chance; None when it does.

    Args:
        teacher: What its own run is about.
        network: As it teaches.
        measured: What it was measured to be.
    """
    told = None if measured is None else _hardly_learned(teacher, measured)
    if told is None:
        return None
    why = (
        "it has hardly learned anything, and teaches that: raise distill.teacher_schedule.epochs, give it trained "
        "weights as NAME@WEIGHTS, or leave it out"
        if teacher.weights.origin == "scratch" or "training" in network.facts
        else "are its classes in another order, which distill.teacher_classes names, or is it fed otherwise than in "
        "its training, which distill.teacher_input mends?"
    )
    return f"teacher {teacher.model.name} {told}: {why}"


def _other_sizes(plan: Plan, fed: int) -> str | None:
    """Images much smaller or larger than what the network is fed; those of the embedded data are meant to be."""
    if plan.recipe.data.source == plan.parts.task.embedded:
        return None
    own = shorter_side(rotating_samples(plan.parts.dataset.test))
    if fed < _ENLARGED * own and own < _REDUCED * fed:
        return None
    return (
        f"the images are about {own:.0f} pixels on their shorter side and are fed at {fed}: was the network trained "
        f"so? input.size is the key, `edgewright preprocess {plan.recipe.model}` tries others"
    )
