"""Seeing that a goal can be had: that one is there, that nothing else decides what it does, that it can be measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.chain.targets import cannot_run
from pipeline.errors import UsageError
from pipeline.recipe.goal import asks_for_fewer_pixels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.workers.workplace import Workplace
    from exporters.target import Target
    from pipeline.environment import Machine
    from pipeline.recipe import Recipe

__all__ = ["check_goal", "check_plannable", "goal_decides_depth", "goal_decides_size"]

_DECIDED = ("channels", "ratio", "scope")
"""Fields of prune that say how many channels stay of which layer."""


def goal_decides_size(recipe: Recipe, skipped: Mapping[str, str]) -> bool:
    """Whether how large the input is, is left to a goal: on request, or where nobody says and fewer pixels help it.

    Args:
        recipe: As the user gave it, or as it was resolved.
        skipped: As of :func:`~pipeline.chain.skipped_stages.skipped_stages`.
    """
    section = recipe.downsample
    by_default = not section.acts and asks_for_fewer_pixels(recipe.goal)
    return "downsample" not in skipped and (section.size == "auto" or by_default)


def goal_decides_depth(recipe: Recipe, skipped: Mapping[str, str]) -> bool:
    """Whether how many residual blocks stay is left to a goal: on request, or where nobody says and it is about time.

    Fewer multiplications or parameters are a matter of channels; the time of a network of many small layers hardly is.
    Where nodes of the graph are named, which are others in one without some blocks, all stay.

    Args:
        recipe: As the user gave it, or as it was resolved.
        skipped: As of :func:`~pipeline.chain.skipped_stages.skipped_stages`.
    """
    named = bool(recipe.export.float_nodes)
    by_default = recipe.prune.blocks is None and recipe.goal.latency is not None and not named
    return "prune" not in skipped and (recipe.prune.blocks == "auto" or by_default)


def check_goal(recipe: Recipe, skipped: Mapping[str, str]) -> None:
    """See that there is a goal where one is needed, and that it alone decides what is pruned.

    Args:
        recipe: As the user gave it.
        skipped: As of :func:`~pipeline.chain.skipped_stages.skipped_stages`.

    Raises:
        UsageError: when not.
    """
    _check_required(recipe)
    if "prune" not in skipped:
        _check_channels(recipe)
        _check_blocks(recipe)
        _check_something_goes(recipe, skipped)


def _check_required(recipe: Recipe) -> None:
    """See that something is asked for where the goal is required."""
    goal = recipe.goal
    if "goal" in goal.require and not goal.budgets() and "max_accuracy_drop" not in goal.model_fields_set:
        raise UsageError(
            "a goal is required, and there is none",
            where="goal.require",
            got="goal",
            fix="add --goal latency=0.5x or --goal drop=1%, or leave it out",
        )
    if "int8" in goal.require and recipe.build.precision not in {"auto", "int8"}:
        raise UsageError(
            "INT8 is required, and another precision is asked for",
            where="goal.require",
            got=f"int8, and build.precision={recipe.build.precision}",
            fix="leave the one or the other out",
        )


def _check_channels(recipe: Recipe) -> None:
    """See that nobody says how many channels go where a goal decides it."""
    section, budgets = recipe.prune, recipe.goal.budgets()
    if not budgets:
        return
    asked = [key for key in _DECIDED if getattr(section, key) != type(section).model_fields[key].default]
    if not section.ratio:  # blocks alone may go then, and those a goal can decide about
        asked.remove("ratio")
    if asked:
        raise UsageError(
            "a goal decides how many channels stay",
            where=f"prune.{asked[0]}",
            got=f"{getattr(section, asked[0])}, and a goal for {', '.join(one.quantity for one in budgets)}",
            fix="leave the one or the other out",
        )


def _check_blocks(recipe: Recipe) -> None:
    """See that a goal alone, or the number of blocks, decides what is pruned, and that there is a goal to decide."""
    blocks, budgets = recipe.prune.blocks, recipe.goal.budgets()
    if blocks == "auto" and not budgets:
        raise UsageError(
            "how many blocks go is decided by a goal, and there is none",
            where="prune.blocks",
            got="auto",
            fix="add --goal latency=0.5x, or give their number",
        )
    if blocks and blocks != "auto" and budgets:
        raise UsageError(
            "a goal decides what is pruned",
            where="prune.blocks",
            got=f"{blocks}, and a goal for {', '.join(one.quantity for one in budgets)}",
            fix="leave the one or the other out; a goal for latency decides about blocks too",
        )


def _check_something_goes(recipe: Recipe, skipped: Mapping[str, str]) -> None:
    """See that pruning takes something away, and that nothing names what it may take."""
    section = recipe.prune
    if not section.cuts_channels and not section.blocks and not goal_decides_depth(recipe, skipped):
        raise UsageError(
            "0 prunes nothing where no blocks go",
            where="prune.ratio",
            got="0",
            fix="leave prune out with --skip prune, or let blocks go by prune.blocks",
        )
    if section.blocks == "auto" and recipe.export.float_nodes:
        raise UsageError(
            "nodes are named, which are others in a network without some of its blocks",
            where="export.float_nodes",
            got=f"{recipe.export.float_nodes[0]}, and prune.blocks=auto",
            fix="leave the one or the other out",
        )


def check_plannable(
    recipe: Recipe, targets: tuple[Target, ...], place: Workplace, machine: Machine, skipped: Mapping[str, str]
) -> None:
    """See that a goal can be planned: by measuring, unless it is about what is counted or nothing may go for it.

    Args:
        recipe: As the user gave it.
        targets: Where the bundles will run.
        place: Where everything is measured.
        machine: What the bundles are for.
        skipped: As of :func:`~pipeline.chain.skipped_stages.skipped_stages`.

    Raises:
        UsageError: when no target runs there; when one does not and the goal is required, which then is missed for
            certain, or INT8 is, of which then nothing is known.
    """
    measured = [budget.quantity for budget in recipe.goal.budgets() if not budget.is_counted]
    may_go = "prune" not in skipped or goal_decides_size(recipe, skipped)
    reasons = [f"{target.name}: {why}" for target in targets if (why := cannot_run(target, place, machine))]
    if reasons and "goal" in recipe.goal.require:
        raise UsageError(
            "a goal is required, and what is lost of the accuracy cannot be measured here",
            where="goal.require",
            got="; ".join(reasons),
            fix="run it where the target runs, or leave --require goal out",
        )
    if reasons and "int8" in recipe.goal.require and recipe.build.precision == "auto":
        raise UsageError(
            "INT8 is required, and whether it holds its limit cannot be measured here: 16-bit floats would be shipped",
            where="goal.require",
            got="; ".join(reasons),
            fix="run it where the target runs, or ask for it whatever it loses: --set build.precision=int8",
        )
    if measured and may_go and len(reasons) == len(targets):
        raise UsageError(
            "a goal is planned by measuring, and no target can run here",
            where=f"goal.{measured[0]}",
            got="; ".join(reasons),
            fix="run it where the target runs, or ask for macs or params, which are counted",
        )
