"""Numbers that no run can live up to, refused before anything is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.recipe.records import Recipe

__all__ = ["refuse_absurd_sizes"]

_LARGEST = {
    "epochs": 1_000_000,
    "batch_size": 1_000_000,
    "size": 16_384,
    "resize": 16_384,
    "processes": 1_000,
    "threads": 4_096,
    "iterations": 100_000_000,
    "seeds": 1_000,
}
"""By a key's last part; ten times and more of what anybody was seen to use."""
_LARGEST_OF_ALL = 2**31 - 1


def refuse_absurd_sizes(recipe: Recipe) -> None:
    """See that every whole number of a recipe is one that a run can live up to.

    Raises:
        RecipeError: naming the first key that is not.
    """
    for key, value in _numbers("", recipe.model_dump(mode="json", by_alias=True)):
        largest = next((_LARGEST[part] for part in reversed(key.split(".")) if part in _LARGEST), _LARGEST_OF_ALL)
        if value > largest:
            shown = str(value) if value < 10**18 else f"a number of {len(str(value))} digits"
            raise RecipeError(f"{key}: more than can be done", got=shown, expected=f"at most {largest}")


def _numbers(key: str, value: Any) -> Iterator[tuple[str, int]]:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _numbers(f"{key}.{name}".removeprefix("."), inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _numbers(f"{key}.{number}", inner)
    elif isinstance(value, int):
        yield key, value
