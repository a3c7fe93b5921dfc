"""Where things lie, as a recipe that is handed on may say it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.models.resolve import WEIGHTS_FILES
from pipeline.recipe.records import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["names_alone", "shortened_places", "told_without_home", "without_home"]

_FILES = (".npz", ".onnx", ".py", ".txt", *WEIGHTS_FILES)


def without_home(recipe: Recipe) -> Recipe:
    """The recipe with ``~`` for this user's home, and what lies in the working folder named from there.

    It says no user's name, and is read again by the same user from the same folder as what it was. A place that lies
    outside both stays as it was typed: nothing else names it.
    """
    return Recipe.model_validate(shortened_places(recipe.model_dump(mode="json", by_alias=True)))


def shortened_places(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The same of any JSON value: two spellings of one place become one."""
    changes = []
    for folder, instead in ((Path.home(), "~/"), (Path.cwd(), "")):
        if folder != Path(folder.anchor):
            # At the start of a text, or behind the @ of a teacher's weights.
            pattern = re.compile(rf"(^|@){re.escape(str(folder))}/+(?=.)")
            changes.append((pattern, rf"\g<1>{instead}"))

    def shortened(text: str) -> str:
        for pattern, instead in changes:
            text = pattern.sub(instead, text)
        return text

    return _mapped(value, shortened)


def told_without_home(text: str) -> str:
    """A message with ``~`` for this user's home, wherever in it that stands."""
    for home in {Path.home(), Path.home().resolve()}:
        if home != Path(home.anchor):
            text = re.sub(rf"(?<![\w.-]){re.escape(str(home))}(?![\w-]|\.\w)", "~", text)
    return text


def names_alone(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The same with nothing but the names of files, wherever they lie: what goes to others says no place at all."""
    return _mapped(value, lambda text: "@".join(map(_name_alone, text.split("@"))))


def _name_alone(text: str) -> str:
    file, colon, factory = text.rpartition(":") if ".py:" in text else (text, "", "")
    somewhere = text.startswith(("/", "~/", "./", "../")) or file.endswith(_FILES)
    return file.replace("\\", "/").rpartition("/")[2] + colon + factory if somewhere else text


def _mapped(value: Any, change: Callable[[str], str]) -> Any:  # noqa: ANN401 - any JSON value
    """The value with every text in it changed, keys too: some are teachers' names."""
    if isinstance(value, dict):
        return {change(key): _mapped(inner, change) for key, inner in value.items()}
    if isinstance(value, list):
        return [_mapped(inner, change) for inner in value]
    return change(value) if isinstance(value, str) else value
