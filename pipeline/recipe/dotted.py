"""A recipe's keys with dots between sections, as they are typed."""

from __future__ import annotations

from itertools import accumulate
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from pydantic import BaseModel

from pipeline.errors import RecipeError
from pipeline.recipe.records import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["dotted", "spelled"]

_SPELLINGS = {"model.output": "network.output"}
"""Keys as people think of them: `model` itself is a name."""


def spelled(key: str) -> str:
    """A key as the recipe has it."""
    return _SPELLINGS.get(key.strip(), key.strip())


def dotted(settings: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Values by dotted key, whether a setting was written so or as a section with keys below it.

    Args:
        settings: As a file has them; a section says nothing of those of its keys that it does not name.
        where: They stand, for messages.

    Raises:
        RecipeError: where a value is said twice, or a section beside its keys as if it were one.
    """
    found: dict[str, Any] = {}
    for key, value in _values(settings):
        if key in found:
            raise RecipeError(f"{key} is said twice", where=where, fix="say it once")
        found[key] = value
    for key in found:
        above = next((one for one in accumulate(key.split("."), "{}.{}".format) if one != key and one in found), None)
        if above is not None:
            raise RecipeError(f"{above} and {key} are both said", where=where, fix="say one of them")
    return found


def _values(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        key = spelled(f"{above}{name}")
        if isinstance(value, dict) and _is_section(key):
            yield from _values(value, f"{key}.")
        else:
            yield key, value


def _is_section(key: str) -> bool:
    """Whether a recipe has a section there, one that may be left out among them."""
    record: type[BaseModel] | None = Recipe
    for name in key.split("."):
        field = None if record is None else record.model_fields.get(name)
        if field is None:
            return False
        kinds = get_args(field.annotation) if get_origin(field.annotation) in {Union, UnionType} else [field.annotation]
        record = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
    return record is not None
