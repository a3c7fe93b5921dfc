"""From a YAML file and what was typed to a Recipe; every mistake is one clear error with its place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.errors import RecipeError, nearest
from pipeline.recipe.records import Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails

__all__ = ["dump_recipe", "read_recipe"]

_MAX_BYTES = 1 << 20


def read_recipe(path: Path | None, typed: Mapping[str, Any], settings: Sequence[str] = ()) -> Recipe:
    """The recipe file, overridden by command-line options, overridden by ``--set`` settings.

    Args:
        path: YAML file, or None for the defaults.
        typed: Values from options, by dotted key; None means not given.
        settings: Texts ``a.b=c``; the value is read as YAML.

    Raises:
        RecipeError: for anything that is not a recipe, naming the place and the nearest key.
    """
    value = _read_yaml(path) if path else {}
    for key, given in typed.items():
        if given is not None:
            _place(value, key, given, where="command line")
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise RecipeError("--set needs key=value", got=setting, expected="for example --set input.size=128")
        _place(value, key.strip(), _setting_value(setting, text), where=f"--set {setting}")
    try:
        return Recipe.model_validate(value)
    except ValidationError as error:
        raise _explain(error.errors()[0], path, more=len(error.errors()) - 1) from error


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML; valid input again: ``read_recipe(dump_recipe(r)) == r``."""
    value = recipe.model_dump(mode="json", by_alias=True)
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    return text


class _StrictLoader(yaml.SafeLoader):
    """Plain YAML without the parts that only surprise: no duplicate keys, no aliases (and so no alias bombs)."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases are not used in recipes", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - the base class's signature
        seen = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key_node.value!r} twice", problem_mark=key_node.start_mark)
            seen.add(key_node.value)
        return super().construct_mapping(node, deep=deep)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise RecipeError("too large for a recipe", where=str(path), got=f"{path.stat().st_size} bytes")
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506, TID251 - a SafeLoader, stricter
    except FileNotFoundError as error:
        raise RecipeError(
            "there is no such recipe", where=str(path), fix="`edgewright recipe MODEL` writes one"
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        reason = str(error).replace("\n", " ") or "nested too deeply"
        raise RecipeError("not a readable recipe", where=str(path), got=reason, expected="YAML") from error
    if not isinstance(value, dict):
        raise RecipeError("not a recipe", where=str(path), got=type(value).__name__, expected="a mapping of keys")
    return value


def _setting_value(setting: str, text: str) -> Any:  # noqa: ANN401 - any YAML value
    try:
        return yaml.safe_load(text) if text else None
    except yaml.YAMLError as error:
        raise RecipeError("the value is not YAML", where=f"--set {setting}", got=text) from error


def _place(value: dict[str, Any], key: str, given: Any, *, where: str) -> None:  # noqa: ANN401 - any YAML value
    *parents, last = key.split(".")
    for parent in parents:
        inner = value.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"{parent!r} holds a value, not a section", where=where)
        value = inner
    value[last] = given


def _explain(error: ErrorDetails, path: Path | None, *, more: int) -> RecipeError:
    location = tuple(str(part) for part in error["loc"])
    dotted = ".".join(location)
    line = _line_of(path, location)
    where = f"{path}:{line}" if line else "recipe"
    others = f" (and {more} more)" if more else ""
    if error["type"] == "extra_forbidden":
        known = _keys_at(location[:-1])
        close = nearest(location[-1], known)
        return RecipeError(
            f"unknown key {dotted!r}{others}",
            where=where,
            expected=f"did you mean {' or '.join(close)}?" if close else f"one of {', '.join(known)}",
            fix="`edgewright recipe MODEL` prints every key with its value",
        )
    return RecipeError(f"{dotted}: {error['msg']}{others}", where=where, got=repr(error["input"]))


def _keys_at(location: Sequence[str]) -> list[str]:
    model: type[BaseModel] = Recipe
    for part in location:
        field = model.model_fields.get(part)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            break
        model = field.annotation
    return [field.alias or name for name, field in model.model_fields.items()]


def _line_of(path: Path | None, location: Sequence[str]) -> int | None:
    """The line of the innermost key of ``location`` that stands in the file; None when it came from elsewhere."""
    if path is None:
        return None
    node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    line = None
    for part in location:
        if not isinstance(node, yaml.MappingNode):
            break
        pair = next(((key, inner) for key, inner in node.value if key.value == part), None)
        if pair is None:
            return None
        line, node = pair[0].start_mark.line + 1, pair[1]
    return line
