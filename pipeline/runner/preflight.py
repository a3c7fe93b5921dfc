"""What only PyTorch can tell, found out before hours are spent: does every network build, load its weights, answer?"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.chain.execution import cached
from pipeline.errors import UsageError
from pipeline.runner.network_trial import known_trial, try_network
from pipeline.stage import Inputs
from pipeline.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.chain.chain import Chain
    from pipeline.chain.plan import Plan
    from pipeline.runner.network_trial import Trial
    from pipeline.subject import Parts

__all__ = ["plan_after_trial", "preflight"]


def preflight(chain: Chain, folders: Iterable[Path]) -> Chain:
    """Try the student and the teachers, unless the store says that they were tried before.

    Args:
        chain: What will run.
        folders: Where results will be written; nothing is made there yet.

    Returns:
        The chain with what was found out in its plan: notes, and no pruning of a network that cannot be pruned.

    Raises:
        UsageError: when a folder cannot be made or written to, a factory fails, a network does not take the input
            or answer for the classes, or cannot be pruned where that is required.
        WeightsError: when given weights do not fit.
    """
    for folder in folders:
        _check_writable(folder)
    plan = chain.plan
    known = known_trial(plan, chain.store)
    teachers = [parts for parts in plan.teachers if not _trained_before(chain, parts)]
    if known is None or teachers:
        with chain.progress.track("trying the networks", (known is None) + len(teachers)) as ticker:
            if known is None:
                known = try_network(plan, plan.parts, chain.store, prune="prune" not in plan.skipped)
                ticker.advance()
            for parts in teachers:
                try_network(plan, parts, chain.store, prune=False)
                ticker.advance()
    found = plan_after_trial(plan, known)
    for note in found.notes[len(plan.notes) :]:
        chain.progress.note(note)
    return replace(chain, plan=found)


def plan_after_trial(plan: Plan, trial: Trial) -> Plan:
    """The plan with what its network turned out to be.

    Raises:
        UsageError: when it cannot be pruned and the goal requires that.
    """
    notes = (*plan.notes, *trial.notes)
    if trial.unprunable is None:
        return replace(plan, notes=notes)
    if "prune" in plan.recipe.goal.require:
        raise UsageError(
            "this network's channels cannot be pruned",
            where="prune, which is required",
            got=trial.unprunable,
            fix="leave goal.require=prune out: the network then stays dense",
        )
    reason = f"the network stays dense: {trial.unprunable}"
    return replace(plan, skipped={**plan.skipped, "prune": reason}, notes=(*notes, reason))


def _trained_before(chain: Chain, parts: Parts) -> bool:
    """Whether a teacher is in the store: then it was tried before."""
    recipe = chain.plan.recipe
    teaching = recipe.baseline.model_copy(update={"schedule": recipe.distill.teacher_schedule})
    inputs = Inputs(artifacts={}, subject=Subject(parts=parts))
    return cached(teaching, inputs, chain.store, seed=recipe.seed) is not None


def _check_writable(folder: Path) -> None:
    place = next(parent for parent in (folder, *folder.absolute().parents) if os.path.lexists(parent))
    if not place.is_dir():
        raise UsageError("results cannot be put here", where=str(folder), got=f"{place} is a file", expected="a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError("results cannot be put here", where=str(folder), got=f"{place} may not be written to")
