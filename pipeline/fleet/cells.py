"""From a fleet's file to its cells: every combination, each with a resolved recipe and a place for its results."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, fields
from itertools import product
from math import prod
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pipeline.errors import RecipeError, UnknownNameError, UsageError
from pipeline.fleet.records import Fleet
from pipeline.recipe.dotted import dotted
from pipeline.recipe.mistakes import explain_mistake
from pipeline.recipe.no_numbers import no_numbers
from pipeline.recipe.reading import QUICK, read_recipe, read_yaml
from pipeline.runner.deploy import folder_name
from pipeline.typed_path import typed_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.fleet.records import DataEntry, ModelEntry, RecipeEntry, Resources, Without
    from pipeline.recipe import Recipe

__all__ = ["Axes", "Cell", "cells_of", "read_fleet"]

_HELP = "docs/fleet.md has an example with every key"
_NO_LETTER = re.compile(r"[^\w.+-]+")
_OWN_DATA = "own"
"""What stands for the data that each recipe names itself."""
_SAID_BY = {"model": "models", "weights": "models", "data.source": "data", "targets": "targets"}
"""Keys of a recipe, and which key of the fleet's file says them."""
_LONGEST = 80
_OF_HASH = 8
"""Letters that tell names apart which are cut."""
_MOST = 10_000
"""Cells; more of them are a slip."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Axes:
    """What a cell is a combination of, by names that are unique along each axis."""

    model: str
    data: str
    recipe: str
    target: str
    device: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One deploy.

    Attributes:
        axes: Which combination.
        name: What tells it from the others, for people.
        recipe: Of the deploy, for its one target.
        resources: What it takes while it runs.
    """

    axes: Axes
    name: str
    recipe: Recipe
    resources: Resources

    @property
    def folder(self) -> PurePosixPath:
        """Where its results go, below the fleet's folder."""
        return PurePosixPath("cells", *(_plain(getattr(self.axes, one.name)) for one in fields(self.axes)))


def read_fleet(path: Path) -> Fleet:
    """A fleet's file.

    Raises:
        RecipeError: for anything that is none, naming the place and the nearest key.
    """
    value = read_yaml(path, "fleet", _HELP)
    try:
        fleet = Fleet.model_validate(value)
    except ValidationError as error:
        # An unknown key first: it may be the one that is missing, mistyped.
        first, *others = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        raise explain_mistake(first, path, {}, others=len(others), record=Fleet, help_=_HELP) from error
    if mistakes := no_numbers(value, fleet):
        raise explain_mistake(mistakes[0], path, {}, others=len(mistakes) - 1, record=Fleet, help_=_HELP)
    return fleet


def cells_of(fleet: Fleet, path: Path) -> tuple[Cell, ...]:
    """Its cells, in the order of the file.

    Args:
        fleet: As read.
        path: Of its file, for messages.

    Raises:
        RecipeError: for names that stand twice, a recipe that is none, or when no cell is left.
        UnknownNameError: where a cell is left out by a name that is on no axis.
    """
    known: dict[str, dict[str, Any]] = {
        "model": _named("models", [(one.name or folder_name(one.model), one) for one in fleet.models], path),
        "data": _named("data", [(_data_name(one), one.source) for one in fleet.data] or [(_OWN_DATA, None)], path),
        "recipe": _named("recipes", [(_name_of(one), one) for one in fleet.recipes], path),
        "target": _named("targets", [(one, one) for one in fleet.targets], path),
        "device": _named("devices", [(one, one) for one in fleet.devices], path),
    }
    if (count := prod(len(entries) for entries in known.values())) > _MOST:
        raise RecipeError("more cells than can be meant", where=str(path), got=str(count), expected=f"at most {_MOST}")
    _check_names(fleet, known, path)
    found = []
    for names in product(*known.values()):
        axes = Axes(**dict(zip(known, names, strict=True)))
        if any(_left_out(axes, one) for one in fleet.without):
            continue
        model, data, entry = known["model"][axes.model], known["data"][axes.data], known["recipe"][axes.recipe]
        recipe = _recipe(model, data, entry, axes.target, f"{path}: recipes: {axes.recipe}")
        resources = fleet.resources_of.get(axes.target, fleet.resources)
        found.append(Cell(axes=axes, name=_told(axes, known), recipe=recipe, resources=resources))
    if not found:
        raise RecipeError("every cell is left out", where=f"{path}: without", fix="leave fewer out")
    ((name, count),) = Counter(cell.name for cell in found).most_common(1)
    if count > 1:
        fix = "give models and recipes names without blanks"
        raise RecipeError("cells that differ have one name", where=str(path), got=name, fix=fix)
    return tuple(found)


def _named(axis: str, entries: Sequence[tuple[str, Any]], path: Path) -> dict[str, Any]:
    """What stands along an axis, by name; names that would be one folder are one name."""
    found: dict[str, Any] = {}
    plain: dict[str, str] = {}
    for name, entry in entries:
        if twin := plain.get(_plain(name)):
            got = name if twin == name else f"{twin} and {name}, whose results would go to one folder"
            fix = "give one of them another name" if axis in {"models", "data", "recipes"} else "name it once"
            raise RecipeError(f"one name twice among {axis}", where=str(path), got=got, fix=fix)
        plain[_plain(name)] = name
        found[name] = entry
    return found


def _plain(name: str) -> str:
    """A name as a folder has it."""
    plain = _NO_LETTER.sub("-", name).strip(".-") or "-"
    if len(plain) <= _LONGEST:
        return plain
    return f"{plain[: _LONGEST - _OF_HASH - 1]}-{hashlib.sha256(name.encode()).hexdigest()[:_OF_HASH]}"


def _data_name(entry: DataEntry) -> str:
    """A folder by its own name: where it lies would tell a home, on the page and in the names of folders."""
    return entry.name or Path(entry.source).name or entry.source


def _name_of(entry: RecipeEntry) -> str:
    return entry.name or (Path(entry.file).stem if entry.file else "quick" if entry.quick else "default")


def _check_names(fleet: Fleet, known: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    for one in fleet.without:
        for axis, name in one.model_dump(exclude_none=True).items():
            if name not in known[axis]:
                raise UnknownNameError(f"{axis} in {path}: without:", name, known[axis])
    for target in fleet.resources_of:
        if target not in known["target"]:
            raise UnknownNameError(f"target in {path}: resources_of:", target, known["target"])


def _left_out(axes: Axes, names: Without) -> bool:
    told = names.model_dump(exclude_none=True)
    return bool(told) and all(getattr(axes, axis) == name for axis, name in told.items())


def _told(axes: Axes, known: Mapping[str, Mapping[str, Any]]) -> str:
    """The model, and of the other axes those that have a choice."""
    return " ".join(getattr(axes, one.name) for one in fields(axes) if one.name == "model" or len(known[one.name]) > 1)


def _recipe(model: ModelEntry, data: str | None, entry: RecipeEntry, target: str, where: str) -> Recipe:
    axes = {"model": model.model, "weights": model.weights, "data.source": data, "targets": [target]}
    said = {key: value for key, value in axes.items() if value is not None}  # None leaves it to the settings
    settings = dotted(entry.settings, where=f"{where}: settings")
    _refuse_twice(settings, said, where)
    typed = {**(QUICK if entry.quick else {}), **settings, **said}
    try:
        return read_recipe(typed_path(entry.file) if entry.file else None, typed, typed_at=where)
    except UsageError as error:
        if error.where and error.where.startswith(where):
            raise
        place = where if error.where in {None, "recipe"} else f"{where}: {error.where}"
        raise RecipeError(error.what, where=place, got=error.got, expected=error.expected, fix=error.fix) from error


def _refuse_twice(settings: Mapping[str, Any], said: Mapping[str, object], where: str) -> None:
    """One of two values that differ would be dropped without a word."""
    for key in said:
        twice = next((one for one in settings if one == key or one.startswith(f"{key}.")), None)
        if twice is not None:
            raise RecipeError(
                f"{twice} is not for settings here",
                where=f"{where}: settings",
                got=f"{key}, which the fleet's {_SAID_BY[key]} say too",
                fix=f"say it in {_SAID_BY[key]} alone",
            )
