"""A validation error of pydantic's in the user's words: where the value stands, and what is near."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args

import yaml
from pydantic import BaseModel

from pipeline.errors import RecipeError, nearest
from pipeline.recipe.records import Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pydantic_core import ErrorDetails

__all__ = ["explain_mistake"]

_SHOW_ALL = "`edgewright recipe MODEL` prints every key with its value"


def explain_mistake(
    error: ErrorDetails,
    path: Path | None,
    sources: Mapping[str, str],
    *,
    others: int = 0,
    record: type[BaseModel] = Recipe,
    help_: str = _SHOW_ALL,
) -> RecipeError:
    """The error to raise for one mistake.

    Args:
        error: As pydantic tells it.
        path: The file, if there is one.
        sources: Dotted key to where it was given, for keys that were typed rather than read from the file.
        others: So many more mistakes there are.
        record: What was to be read from the file.
        help_: Where all its keys are told.
    """
    location = _user_location(error["loc"], record)
    dotted = ".".join(location)
    where = _source(location, sources) or _file_place(path, location)
    more = f" (and {others} more)" if others else ""
    match error["type"]:
        case "extra_forbidden":
            close = nearest(location[-1], known := _keys_at(location[:-1], record))
            return RecipeError(
                f"unknown key {dotted!r}{more}", where=where, expected=_suggestion(close, known), fix=help_
            )
        case "missing":
            fix = "name it, as in `edgewright deploy resnet50`; `edgewright models` lists them"
            return RecipeError(f"{dotted} is missing{more}", where=where, fix=fix if dotted == "model" else help_)
        case "literal_error" if isinstance(error["input"], str):
            close = nearest(error["input"], known := re.findall(r"'([^']*)'", error["ctx"]["expected"]))
            return RecipeError(
                f"{dotted}: unknown value {error['input']!r}{more}", where=where, expected=_values(close, known)
            )
        case "model_type":
            keys = ", ".join(_keys_at(location, record))
            return RecipeError(
                f"{dotted} is a section{more}", where=where, got=repr(error["input"]), expected=f"keys below it: {keys}"
            )
        case _:
            return RecipeError(f"{dotted}: {error['msg']}{more}", where=where, got=repr(error["input"]))


def _values(close: Sequence[str], known: Sequence[str]) -> str:
    """All of them, also where one is near in spelling: what is meant may have quite another name."""
    others = [value for value in known if value not in close]
    return _suggestion(close, known) + (f" Others are {', '.join(others)}" if close and others else "")


def _suggestion(close: Sequence[str], known: Sequence[str]) -> str:
    return f"did you mean {' or '.join(close)}?" if close else f"one of {', '.join(known)}"


def _user_location(location: Sequence[str | int], record: type[BaseModel]) -> tuple[str, ...]:
    """The keys and positions a user wrote, without the members of unions that pydantic adds."""
    found: list[str] = []
    model: type[BaseModel] | None = record
    for number, part in enumerate(location):
        last = number == len(location) - 1
        if isinstance(part, int):
            found.append(str(part))
        elif model is not None and (part in _fields_of(model) or last):
            found.append(part)
            model = _section(_fields_of(model).get(part))
    return tuple(found)


def _fields_of(model: type[BaseModel]) -> dict[str, Any]:
    """Key as written to the type of its value."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _section(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any type
    """The record behind a type, also when it may be absent or there may be several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _section(inner)) is not None), None)


def _keys_at(location: Sequence[str], record: type[BaseModel]) -> list[str]:
    model = record
    for part in location:
        model = _section(_fields_of(model).get(part)) or model
    return list(_fields_of(model))


def _source(location: Sequence[str], sources: Mapping[str, str]) -> str | None:
    """Where the value, or the innermost section around it, was typed; None when it stands in the file."""
    for length in range(len(location), 0, -1):
        if found := sources.get(".".join(location[:length])):
            return found
    return None


def _file_place(path: Path | None, location: Sequence[str]) -> str:
    """The file with the line of the innermost key of ``location`` that stands in it."""
    if path is None:
        return "recipe"
    node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    line = None
    for part in location:
        if isinstance(node, yaml.SequenceNode):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
            continue
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        pair = next(((key, inner) for key, inner in pairs if key.value == part), None)
        if pair is None:
            break
        line, node = pair[0].start_mark.line + 1, pair[1]
    return f"{path}:{line}" if line else str(path)
