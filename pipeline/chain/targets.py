"""From the targets a recipe names to those that are built for, each with what the recipe says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.auto import AUTO, candidates
from exporters.build_options import Build
from exporters.target import check_precision
from pipeline.catalog import target_named
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.workers.workplace import Workplace
    from exporters.target import Target
    from pipeline.environment import Machine
    from pipeline.progress import Progress
    from pipeline.recipe import Recipe

__all__ = ["cannot_run", "targets_of"]

_OF_SOME = {"tensorrt": "tensorrt-rtx or tensorrt", "ort_format": "ort-cpu"}
"""Keys of the build section that concern some targets alone, and which."""


def targets_of(recipe: Recipe, progress: Progress, place: Workplace, machine: Machine) -> tuple[Target, ...]:
    """The recipe's targets; of ``auto`` those that run there and can do what the recipe says.

    Args:
        recipe: Names them.
        progress: Told what ``auto`` is.
        place: Where they are measured.
        machine: That they are built for.

    Raises:
        UnknownNameError: for a target that does not exist.
        UsageError: for ``auto`` beside others, one that is named twice, a precision or an option that a target lacks,
            an option that concerns none, and a target that cannot be built here.
        DeviceError: for a target that the device where it should be measured cannot run.
    """
    if AUTO in recipe.targets:
        targets = _automatic(recipe, progress, place, machine)
    else:
        twice = [name for name in recipe.targets if recipe.targets.count(name) > 1]
        if twice:
            raise UsageError("a target is named twice", where="targets", got=twice[0], fix="name it once")
        targets = tuple(target_named(name).for_machine(machine) for name in recipe.targets)
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
            raise UsageError(
                f"target {target.name} cannot be built here", got=reason, fix="`edgewright doctor` says what is missing"
            )
        place.check(target)
    return tuple(target.configured(recipe.build) for target in targets)


def cannot_run(target: Target, place: Workplace, machine: Machine) -> str | None:
    """None when engines of a target can be measured; else the reason in one sentence.

    Args:
        target: Whose.
        place: Where.
        machine: That they are built for.
    """
    there = place.machine.architecture
    if machine.architecture != there:
        return f"it is for {machine.architecture} and was made on {there}, and no device was named to measure it on"
    return place.cannot_run(target)


def _automatic(recipe: Recipe, progress: Progress, place: Workplace, machine: Machine) -> tuple[Target, ...]:
    if len(recipe.targets) > 1:
        raise UsageError("target auto stands alone", got=", ".join(recipe.targets), fix="name one or the other")
    if machine.architecture != place.machine.architecture:
        raise UsageError(
            "target auto is chosen by measuring",
            got=f"nothing for {machine.architecture} can be measured on {place.machine.architecture}",
            fix="name a target, such as --target ort-cpu, or a device with --device",
        )
    found, reason = candidates(machine, unable=lambda target: target.missing() or place.cannot_run(target))
    found = tuple(target.for_machine(machine) for target in found)
    asked = recipe.build.precision
    targets = tuple(target for target in found if asked in {"auto", *target.precisions})
    if not targets:
        raise UsageError(
            f"no target that runs here builds {asked}",
            got=_names(found),
            fix="name one that does with --target; `edgewright targets` lists them",
        )
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
