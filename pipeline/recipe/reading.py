"""From a YAML file and what was typed to a Recipe; every mistake is one clear error with its place."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.errors import RecipeError
from pipeline.recipe.absurd_sizes import refuse_absurd_sizes
from pipeline.recipe.dotted import spelled
from pipeline.recipe.mistakes import explain_mistake
from pipeline.recipe.no_numbers import no_numbers
from pipeline.recipe.plain_yaml import TwoReadingsError, is_plain_text, parse_yaml
from pipeline.recipe.records import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["QUICK", "dump_recipe", "read_recipe", "read_yaml"]

QUICK = {
    "baseline.schedule.epochs": 1,
    "baseline.objects_schedule.epochs": 1,
    "distill.schedule.epochs": 1,
    "distill.teacher_schedule.epochs": 1,
    "downsample.schedule.epochs": 1,
    "prune.schedule.epochs": 1,
    "data.calibration_images": 64,
    "build.budget_s": 20,
}
"""What a quick run sets: to see in a minute that everything works; the accuracy then means nothing."""

_MAX_BYTES = 1 << 20
_COMMENT_WIDTH = 100


def read_recipe(
    path: Path | None, typed: Mapping[str, Any], settings: Sequence[str] = (), *, typed_at: str = "command line"
) -> Recipe:
    """The recipe file, overridden by command-line options, overridden by ``--set`` settings.

    Args:
        path: YAML file, or None for the defaults.
        typed: Values from options, by dotted key.
        settings: Texts ``a.b=c``; the value is read as YAML.
        typed_at: Where ``typed`` was given, as an error says it.

    Raises:
        RecipeError: for anything that is not a recipe, naming the place and the nearest key.
    """
    value = read_yaml(path, "recipe", "`edgewright recipe MODEL` writes one") if path else {}
    sources: dict[str, str] = {}
    for key, given in typed.items():
        _place(value, key, given, where=sources.setdefault(key, typed_at))
    for setting in settings:
        key, equals, text = setting.partition("=")
        key = spelled(key)
        if not equals or not key:
            raise RecipeError("--set needs key=value", got=setting, expected="for example --set input.size=128")
        sources[key] = where = f"--set {setting}"
        _place(value, key, _setting_value(text, where), where=where)
    try:
        recipe = Recipe.model_validate(value)
    except ValidationError as error:
        first, *others = error.errors()
        raise explain_mistake(first, path, sources, others=len(others)) from error
    if mistakes := no_numbers(value, recipe):
        raise explain_mistake(mistakes[0], path, sources, others=len(mistakes) - 1)
    refuse_absurd_sizes(recipe)
    return recipe


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML, with what each key is for; valid input again: ``read_recipe(dump_recipe(r)) == r``."""
    return "\n".join(_lines(recipe, recipe.model_dump(mode="json", by_alias=True), "")) + "\n"


def _lines(section: BaseModel, values: Mapping[str, Any], margin: str) -> Iterator[str]:
    """A section's keys, each below what its schema says of it."""
    for name, field in type(section).model_fields.items():
        key, inner = field.alias or name, getattr(section, name)
        for line in textwrap.wrap(field.description or "", _COMMENT_WIDTH - len(margin) - 2):
            yield f"{margin}# {line}"
        if isinstance(inner, BaseModel):
            yield f"{margin}{key}:"
            yield from _lines(inner, values[key], f"{margin}  ")
        else:
            text: str = yaml.dump(
                {key: values.get(key)},  # what says nothing may not be among them
                Dumper=_Dumper,
                sort_keys=False,
                allow_unicode=True,
                default_flow_style=None if isinstance(inner, dict) else False,
            )
            yield from (f"{margin}{line}" for line in text.splitlines())


class _Dumper(yaml.SafeDumper):
    """Texts with rare line separators in quotes that escape them: any other style reads them as spaces."""


def _quoted_where_needed(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style=None if text.isprintable() and is_plain_text(text) else '"'
    )


_Dumper.add_representer(str, _quoted_where_needed)


def read_yaml(path: Path, kind: str, help_: str) -> dict[str, Any]:
    """The keys in a file.

    Args:
        path: Of the file.
        kind: What it should be, in one word.
        help_: What to do where there is none.

    Raises:
        RecipeError: when there is none, or it is no mapping in YAML.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise RecipeError(
                f"too large for a {kind}", where=str(path), got=f"{path.stat().st_size} bytes", expected="at most 1 MiB"
            )
        value = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(f"there is no such {kind}", where=str(path), fix=help_) from error
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = str(error).replace("\n", " ") or "nested too deeply"
        raise RecipeError(f"not a readable {kind}", where=str(path), got=reason, expected="YAML") from error
    if not isinstance(value, dict):
        raise RecipeError(f"not a {kind}", where=str(path), got=type(value).__name__, expected="a mapping of keys")
    return value


def _setting_value(text: str, where: str) -> Any:  # noqa: ANN401 - any YAML value
    try:
        return parse_yaml(text) if text else None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, TwoReadingsError):
            raise RecipeError("the value can be read in two ways", where=where, got=error.problem) from error
        raise RecipeError(
            "the value is not YAML",
            where=where,
            got=text,
            expected="a value as YAML writes it, such as 0.1, true or [1, 2]",
        ) from error


def _place(value: dict[str, Any], key: str, given: Any, *, where: str) -> None:  # noqa: ANN401 - any YAML value
    *parents, last = key.split(".")
    for parent in parents:
        inner = value.setdefault(parent, {})
        if inner is None:  # as a printed recipe says of a section that is not given
            inner = value[parent] = {}
        if not isinstance(inner, dict):
            raise RecipeError(
                f"{parent!r} holds a value, not a section",
                where=where,
                fix="make it a section in the recipe, or leave this out",
            )
        value = inner
    value[last] = given
