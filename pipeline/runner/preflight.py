"""What only PyTorch can tell, found out before hours are spent: does every network build, load its weights, answer?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.chain.asked_schedules import asked_schedules
from pipeline.chain.keys import key_components, key_of
from pipeline.errors import ResourceError, UsageError
from pipeline.runner.answers_file_trial import try_answer_files
from pipeline.runner.comparison_trial import try_comparison
from pipeline.runner.explain import explain
from pipeline.runner.network_trial import known_trial, try_network
from pipeline.runner.plan_after_trials import plan_after_trials
from pipeline.stage import Inputs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.chain.chain import Chain
    from pipeline.chain.plan import Plan
    from pipeline.training.schedule import Schedule

__all__ = ["check_precisions", "check_room", "preflight"]

_KEEP_ALL_WEIGHTS = frozenset({"baseline", "distill"})
_MIB = 1 << 20


def preflight(chain: Chain) -> Chain:
    """Try the student and the teachers, unless the store says that they were tried before.

    Args:
        chain: What will run.

    Returns:
        The chain with what was found out in its plan: notes, doubts, and no pruning of a network that cannot be pruned.

    Raises:
        UsageError: when a factory fails, a network does not take the input
            or answer for the classes, or cannot be pruned where that is required, when what is to be compared inside
            student and teachers does not fit, or for a training in a precision that is of no use here.
        WeightsError: when given weights or a file of answers do not fit.
        DataError: when a file of answers says nothing of an image or a class.
        ResourceError: when there is less room for results than they are known to need.
    """
    plan = chain.plan
    try_answer_files(plan, chain.store)
    asked = [(plan.parts, "prune" not in plan.skipped), *((parts, False) for parts in plan.teachers)]
    trials = [known_trial(plan, parts, chain.store, prune=prune) for parts, prune in asked]
    if None in trials:
        with (
            chain.phases.during("trying the networks"),
            chain.progress.track("trying the networks", trials.count(None)) as ticker,
        ):
            for number, (parts, prune) in enumerate(asked):
                if trials[number] is None:
                    trials[number] = try_network(plan, parts, chain.store, prune=prune)
                    ticker.advance()
    found = plan_after_trials(plan, [trial for trial in trials if trial is not None])
    try_comparison(found, chain.store)
    check_precisions(replace(chain, plan=found))
    if trials[0] is not None and trials[0].weights_bytes:
        check_room(replace(chain, plan=found), trials[0].weights_bytes)
    for note in (*found.notes[len(plan.notes) :], *(f"doubt: {doubt}" for doubt in found.doubts)):
        chain.progress.note(note)
    return replace(chain, plan=found)


def check_room(chain: Chain, weights_bytes: int) -> None:
    """See that what is known to be written fits: each training leaves a network with all its weights.

    More than that is needed; how much depends on what is pruned and which forms are tried.

    Args:
        chain: What will run.
        weights_bytes: Of the network.

    Raises:
        ResourceError: when it does not fit.
    """
    if _begun(chain):
        return  # it may need little more
    whole = [stage.name for stage in chain.plan.network_stages() if stage.name in _KEEP_ALL_WEIGHTS]
    needed, free = weights_bytes * len(whole), chain.store.free_bytes()
    if free < needed:
        raise ResourceError(
            "there is not enough room for what this run makes",
            where=str(chain.store.root),
            got=f"{free / _MIB:.1f} MiB free",
            expected=f"more than {needed / _MIB:.1f} MiB: the weights after {' and '.join(whole)}",
            fix="free some space, or put the store elsewhere with EDGEWRIGHT_CACHE",
        )


def check_precisions(chain: Chain) -> None:
    """See that no training is asked for in a precision that is of no use here.

    What a goal may leave out (pruning, and smaller images that nobody asked for by their size) is refused by its stage.
    Trainings whose results are in the store may have been done where there is a GPU.

    Args:
        chain: What will run.

    Raises:
        UsageError: for fp16 without a GPU.
    """
    asked = [key for key, one in _certain(chain.plan).items() if one.precision == "fp16"]
    if not asked:
        return
    from pipeline.training.hardware import precision_here

    try:
        precision_here("fp16")
    except UsageError as error:
        ahead = _ahead(chain, asked)
        if ahead:
            where = ", ".join(f"{key}.precision" for key in dict.fromkeys(_given(chain.plan, key) for key in ahead))
            raise UsageError(error.what, where=where, got=error.got, fix=error.fix) from error


def _certain(plan: Plan) -> dict[str, Schedule]:
    """The schedules by which networks will be trained, whatever their weights and a goal turn out to be."""
    if not plan.parts.dataset.train:
        return {}
    certain = {"distill.schedule"}
    if plan.parts.weights.origin == "scratch":
        certain.add("baseline.schedule")
    if any(teacher.weights.origin == "scratch" for teacher in plan.teachers):
        certain.add("distill.teacher_schedule")
    if not plan.size_is_open:
        certain.add("downsample.schedule")
    if not plan.recipe.goal.budgets():
        certain.add("prune.schedule")
    found = asked_schedules(plan.recipe, plan.skipped)
    return {key: schedule for key, schedule in found.items() if key in certain}


def _ahead(chain: Chain, keys: Iterable[str]) -> list[str]:
    """Those of the schedules by which something is still to be trained."""
    if not _begun(chain):
        return list(keys)
    would_run = {one.stage for one in explain(chain.plan, chain.store) if one.status == "would run"}
    trained_by = {
        "baseline.schedule": {"baseline"},
        "distill.schedule": {"distill"},
        "distill.teacher_schedule": {f"teacher {parts.model.name}" for parts in chain.plan.teachers},
        "downsample.schedule": {"downsample"},
        "prune.schedule": {"prune"},
    }
    return [key for key in keys if trained_by[key] & would_run]


def _given(plan: Plan, key: str) -> str:
    """The key of the recipe that decides a schedule: a baseline without one is trained by that of distill."""
    return "distill.schedule" if key == "baseline.schedule" and plan.baseline_as_distill else key


def _begun(chain: Chain) -> bool:
    """Whether the store has what the first stage makes."""
    first = chain.plan.network_stages()[0]
    inputs = Inputs(artifacts={}, subject=chain.subject.restricted(first.reads))
    return chain.store.recall(key_of(key_components(first, inputs, seed=chain.plan.recipe.seed))) is not None
