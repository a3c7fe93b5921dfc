"""What was written for a number and is none, though pydantic makes one of it: ``true`` is 1 to it, "1_000" is 1000."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

__all__ = ["no_numbers"]


def no_numbers(written: Any, record: BaseModel) -> list[ErrorDetails]:  # noqa: ANN401 - any YAML value
    """The mistakes, each as pydantic tells its own.

    Args:
        written: What the record was made of.
        record: What it became.
    """
    return list(_compared((), written, record.model_dump(mode="json", by_alias=True)))


def _compared(place: tuple[int | str, ...], written: Any, read: Any) -> Iterator[ErrorDetails]:  # noqa: ANN401 - as above
    if isinstance(written, dict):
        if isinstance(read, dict):
            for key, inner in written.items():
                yield from _compared((*place, key), inner, read.get(key))
    elif isinstance(written, list | tuple):
        if isinstance(read, list) and len(read) == len(written):
            for number, (inner, became) in enumerate(zip(written, read, strict=True)):
                yield from _compared((*place, number), inner, became)
    elif _is_number(read) and (isinstance(written, bool) or (isinstance(written, str) and "_" in written)):
        message = "Input should be a number" + (" in digits alone" if isinstance(written, str) else "")
        yield {"type": "no_number", "loc": place, "msg": message, "input": written}


def _is_number(read: Any) -> bool:  # noqa: ANN401 - as above
    """Also of a value that became several, as one side does of height and width."""
    if isinstance(read, list):
        return bool(read) and all(map(_is_number, read))
    return isinstance(read, int | float) and not isinstance(read, bool)
