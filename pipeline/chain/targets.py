"""From the targets a recipe names to those that are built for, each with what the recipe says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.auto import AUTO, candidates
from exporters.build_options import Build
from exporters.target import check_precision
from pipeline.catalog import target_named
from pipeline.environment import this_machine
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporters.target import Target
    from pipeline.progress import Progress
    from pipeline.recipe import Recipe

__all__ = ["targets_of"]

_OF_SOME = {"tensorrt": "tensorrt-rtx or tensorrt", "ort_format": "ort-cpu"}
"""Keys of the build section that concern some targets alone, and which."""


def targets_of(recipe: Recipe, progress: Progress) -> tuple[Target, ...]:
    """The recipe's targets; of ``auto`` those that run here and can do what the recipe says.

    Raises:
        UnknownNameError: for a target that does not exist.
        UsageError: for ``auto`` beside others, a precision or an option that a target lacks, an option that concerns
            none, and a target that cannot be built here.
    """
    if AUTO in recipe.targets:
        targets = _automatic(recipe, progress)
    else:
        targets = tuple(map(target_named, recipe.targets))
        _concerned(targets, recipe.build)
    for target in targets:
        if recipe.build.nms == "graph" and (reason := target.cannot_suppress()):
            raise UsageError(
                f"target {target.name} cannot suppress boxes within the graph",
                where="build.nms",
                got=reason,
                fix="leave it to the runner: --nms runner",
            )
        if recipe.build.precision != "auto":
            check_precision(target, recipe.build.precision)
        if reason := target.missing():
            raise UsageError(f"target {target.name} cannot be built here", got=reason)
    return tuple(target.configured(recipe.build) for target in targets)


def _automatic(recipe: Recipe, progress: Progress) -> tuple[Target, ...]:
    if len(recipe.targets) > 1:
        raise UsageError("target auto stands alone", got=", ".join(recipe.targets), fix="name one or the other")
    found, reason = candidates(this_machine())
    asked = recipe.build.precision
    targets = tuple(target for target in found if asked in {"auto", *target.precisions})
    if not targets:
        raise UsageError(f"no target that runs here builds {asked}", got=_names(found))
    if recipe.build.nms == "graph":
        targets = tuple(target for target in targets if not target.cannot_suppress()) or targets
    for concerned in _concerned(targets, recipe.build):
        targets = concerned
    kept = ": all are built, the fastest is kept" if len(targets) > 1 else ""
    progress.note(f"target auto is {_names(targets)} ({reason}){kept}")
    return targets


def _concerned(targets: Sequence[Target], section: Build) -> list[tuple[Target, ...]]:
    """Of each key that is set and concerns some targets alone, those of the given ones that it changes.

    Raises:
        UsageError: when it changes none of them.
    """
    usual, found = Build(), []
    for key, takers in _OF_SOME.items():
        told = getattr(section, key)
        if told == getattr(usual, key):
            continue
        alone = usual.model_copy(update={key: told})
        concerned = tuple(target for target in targets if target.configured(alone) != target)
        if not concerned:
            raise UsageError(
                f"build.{key} is set, but concerns none of the targets",
                got=_names(targets),
                fix=f"name --target {takers}, or leave it out",
            )
        found.append(concerned)
    return found


def _names(targets: Sequence[Target]) -> str:
    return " and ".join(target.name for target in targets)
