"""What a plan becomes once its networks were tried: notes, doubts, and no training of what cannot be trained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.runner.network_trial import FROZEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.chain.plan import Plan
    from pipeline.runner.network_trial import Trial
    from pipeline.subject import Parts

__all__ = ["plan_after_trials"]


def plan_after_trials(plan: Plan, trials: Sequence[Trial]) -> Plan:
    """The plan with what its networks turned out to be.

    Args:
        plan: As made before any network was built.
        trials: Of the student, then of each teacher.

    Raises:
        UsageError: when the student cannot be pruned and the goal requires that, or when a training is asked for of a
            network that cannot be trained.
    """
    student, *others = trials
    for parts, trial in zip(plan.teachers, others, strict=True):
        _check_trained(parts, trial)
    plan = _without_training(plan, student)
    plan = replace(
        plan,
        parts=_answering(plan.parts, student),
        teachers=tuple(_answering(parts, trial) for parts, trial in zip(plan.teachers, others, strict=True)),
        doubts=tuple(_doubts(plan, student, others)),
    )
    notes = (*plan.notes, *student.notes)
    if student.unprunable is None:
        return replace(plan, notes=notes)
    if "prune" in plan.recipe.goal.require:
        raise UsageError(
            "this network's channels cannot be pruned",
            where="prune, which is required",
            got=student.unprunable,
            fix="leave goal.require=prune out: the network then stays dense",
        )
    if plan.depth_is_open:  # whole blocks may go though no channel can
        prune = plan.recipe.prune.model_copy(update={"ratio": 0.0})
        recipe = plan.recipe.model_copy(update={"prune": prune})
        return replace(plan, recipe=recipe, notes=(*notes, f"all channels stay: {student.unprunable}"))
    reason = f"the network stays dense: {student.unprunable}"
    return replace(plan, skipped={**plan.skipped, "prune": reason}, notes=(*notes, reason))


def _check_trained(parts: Parts, trial: Trial) -> None:
    """See that a network which cannot be trained comes with weights."""
    if trial.untrained is not None and parts.weights.origin == "scratch":
        raise UsageError(
            "there are no weights for this network, and it cannot be trained",
            where=parts.model.name,
            got=trial.untrained,
            expected=f"trained weights, or {'parameters to train' if trial.untrained == FROZEN else 'a loss'}",
            fix=f"give the weights with --weights FILE, or {_remedy(trial)}",
        )


def _without_training(plan: Plan, student: Trial) -> Plan:
    """The plan without the stages that train, where the student cannot be trained.

    Raises:
        UsageError: when one of them is asked for.
    """
    if student.untrained is None:
        return plan
    _check_trained(plan.parts, student)
    for where, value in _asked_trainings(plan):
        raise UsageError(
            "this network cannot be trained, and so neither distilled nor downsampled nor pruned",
            where=where,
            got=f"{value}, and {student.untrained}",
            fix=f"{_remedy(student)}, or leave that out",
        )
    left_out = ["prune", *(("downsample",) if plan.downsamples else ())]
    reason = f"the network is taken as it is: {student.untrained}"
    if plan.size_opened_by_goal:  # the recipe that is written asks for it no more: there it would be on request
        downsample = plan.recipe.downsample.model_copy(update={"size": None})
        plan = replace(plan, recipe=plan.recipe.model_copy(update={"downsample": downsample}))
    return replace(plan, skipped={**dict.fromkeys(left_out, reason), **plan.skipped}, notes=(*plan.notes, reason))


def _remedy(trial: Trial) -> str:
    """What lets a network be trained that cannot be."""
    if trial.untrained == FROZEN:
        return "let its factory leave requires_grad of some parameters True"
    return "write loss(outputs, targets) where its decode is"


def _asked_trainings(plan: Plan) -> Iterator[tuple[str, str]]:
    """Keys that ask for a training of the student beside its baseline, and what they say."""
    recipe = plan.recipe
    if "distill" not in plan.skipped:
        yield "distill.teachers", ", ".join(recipe.distill.teachers or ())
    if plan.downsamples and recipe.downsample.size is not None and not plan.size_opened_by_goal:
        yield "downsample.size", str(recipe.downsample.size)
    if plan.downsamples and recipe.downsample.stem is not None:
        yield "downsample.stem", recipe.downsample.stem
    if "prune" in recipe.goal.require:
        yield "goal.require", "prune"


def _doubts(plan: Plan, student: Trial, others: Sequence[Trial]) -> Iterator[str]:
    """Why networks that came with weights may be fed otherwise than in their training."""
    if student.fed_otherwise:
        yield student.fed_otherwise
    for parts, trial in zip(plan.teachers, others, strict=True):
        if trial.fed_otherwise:
            yield f"teacher {parts.model.name}: {trial.fed_otherwise}"


def _answering(parts: Parts, trial: Trial) -> Parts:
    """The parts with how their network answers, which decides what is built of it and how it is read."""
    if trial.reading is not None:
        parts = replace(parts, task=parts.task.reading(trial.reading))
    return (
        parts if trial.one_number is None else replace(parts, model=replace(parts.model, one_number=trial.one_number))
    )
