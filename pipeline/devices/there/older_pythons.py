"""What our modules use of newer Pythons, lent to the one that runs on the device.

The measuring code is written for the Python that this project asks for. Boards have older ones; what is missing there
is little and can be given by name, so that the very code that measures here measures there. Only processes that were
started from what we sent are changed.
"""

from __future__ import annotations

import builtins
import dataclasses
import enum
import sys
import typing

__all__ = ["lend"]


def lend() -> None:
    """Give this process what its Python lacks of 3.11; nothing on 3.11 and newer."""
    if sys.version_info < (3, 11):
        typing.Self = typing.TypeVar("Self")  # for annotations alone
        enum.StrEnum = _StrEnum
    if sys.version_info < (3, 10):
        dataclasses.dataclass = _without_newer_options(dataclasses.dataclass)
        builtins.zip = _Zip


class _StrEnum(str, enum.Enum):
    def __str__(self) -> str:
        return str.__str__(self)

    def __format__(self, format_spec: str) -> str:
        return str.__format__(self, format_spec)


def _without_newer_options(plain: typing.Any) -> typing.Any:  # noqa: ANN401 - a decorator of any class
    """``dataclass`` that takes and leaves out ``kw_only`` and ``slots``, which change no behaviour we rely on."""

    def dataclass(cls: typing.Any = None, **options: typing.Any) -> typing.Any:  # noqa: ANN401
        return plain(cls, **{name: value for name, value in options.items() if name not in {"kw_only", "slots"}})

    return dataclass


class _Zip(zip):  # type: ignore[type-arg] # what it is of is not known here
    """``zip`` that takes ``strict``."""

    def __new__(cls, *iterables: typing.Iterable[typing.Any], strict: bool = False) -> typing.Any:  # noqa: ANN401
        if strict:
            kept = [list(iterable) for iterable in iterables]
            if len({len(one) for one in kept}) > 1:
                message = "zip() arguments are of different lengths"
                raise ValueError(message)
            iterables = tuple(kept)
        return super().__new__(cls, *iterables)
