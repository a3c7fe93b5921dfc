"""The student without and with its teachers, from every seed that is asked for: what a comparison of both needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporters.target import Target
    from pipeline.artifact import Artifact
    from pipeline.chain.chain import Chain
    from pipeline.chain.engine_measurement import Measured
    from pipeline.chain.plan import Plan
    from pipeline.runner.report_rows import Outcome
    from pipeline.stage import Stage, Teacher

__all__ = ["Student", "Students", "comes_trained", "students_of_all_seeds", "trained_otherwise"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Student:
    """One training of the network.

    Attributes:
        measured: What came of it on the target.
        params: Of the network.
        wall_s: How long it took, seconds.
    """

    measured: Measured
    params: int
    wall_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Students:
    """The same network trained for the same steps without and with its teachers, from one seed."""

    seed: int
    untaught: Student
    distilled: Student


def comes_trained(plan: Plan, baseline: Artifact) -> bool:
    """Whether the weights answered for the classes as they were given, so that the baseline trained nothing.

    Distillation trains such a network all the same. Beside the baseline it would be credited with what further training
    brings to anybody; it has to be held against the same training without teachers.

    Args:
        plan: Of the run.
        baseline: What the stage of that name made.
    """
    return plan.parts.weights.origin != "scratch" and "training" not in baseline.facts


def trained_otherwise(plan: Plan, baseline: Artifact) -> bool:
    """Whether the baseline was trained by another schedule than the student with teachers, as the recipe asks for.

    Args:
        plan: Of the run.
        baseline: What the stage of that name made.
    """
    return not comes_trained(plan, baseline) and not plan.baseline_as_distill


def students_of_all_seeds(
    chain: Chain, target: Target, teachers: Sequence[Teacher], baseline: Outcome, distilled: Outcome
) -> tuple[Students, ...]:
    """Both students from each seed, that of the run first; the teachers stay.

    Args:
        chain: The run.
        target: On which both are measured.
        teachers: With their answers.
        baseline: The run's, which is the student without teachers where it was trained.
        distilled: The run's student, measured.
    """
    recipe, trained = chain.plan.recipe, comes_trained(chain.plan, baseline.result.artifact)
    if trained:
        chain.progress.note(
            "the network comes trained: to tell what its teachers bring, it is trained once more, for as many steps "
            "without them"
        )
    found = []
    for number in range(recipe.measure.seeds):
        seed = recipe.seed + number
        own = replace(chain, plan=replace(chain.plan, recipe=recipe.model_copy(update={"seed": seed})))
        untaught = baseline if not number and not trained else None
        found.append(
            Students(
                seed=seed,
                untaught=_student(own, target, recipe.distill.untaught() if trained else recipe.baseline, (), untaught),
                distilled=_student(own, target, recipe.distill, tuple(teachers), None if number else distilled),
            )
        )
        if number:
            chain.progress.note(f"seed {seed}: trained without and with teachers")
    return tuple(found)


def _student(
    chain: Chain, target: Target, stage: Stage, teachers: tuple[Teacher, ...], known: Outcome | None
) -> Student:
    """What a stage trains, or what is known of it already."""
    result = chain.execute(stage, {}, teachers) if known is None else known.result
    measured = None if known is None else known.measured
    return Student(
        measured=measured or chain.measured(result.artifact, target),
        params=result.artifact.facts["params"],
        wall_s=result.wall_s,
    )
