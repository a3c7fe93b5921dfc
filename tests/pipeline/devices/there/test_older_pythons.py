"""What older Pythons are lent does what newer ones have."""

from __future__ import annotations

import dataclasses
import sys

import pytest

from pipeline.devices.there import older_pythons
from pipeline.devices.there.older_pythons import _StrEnum, _without_newer_options, _Zip


def test_dataclasses_are_made_without_the_options_they_do_not_know() -> None:
    @_without_newer_options(dataclasses.dataclass)(frozen=True, kw_only=True, slots=True)
    class Point:
        x: int
        y: int = 2

    assert Point(x=1) == Point(1, 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Point(1).x = 3  # type: ignore[misc] # what is tried


def test_zip_is_strict_when_asked() -> None:
    assert list(_Zip("ab", [1, 2], strict=True)) == [("a", 1), ("b", 2)]
    assert list(_Zip("abc", iter([1]))) == [("a", 1)]
    with pytest.raises(ValueError, match="different lengths"):
        _Zip("ab", [1], strict=True)


def test_members_of_an_enumeration_are_their_text() -> None:
    class Kind(_StrEnum):
        ENGINE = "engine"

    assert (str(Kind.ENGINE), f"{Kind.ENGINE}", Kind("engine")) == ("engine", "engine", Kind.ENGINE)


def test_a_python_that_has_all_of_it_is_left_alone() -> None:
    kept = zip, dataclasses.dataclass
    older_pythons.lend()
    assert sys.version_info < (3, 11) or (zip, dataclasses.dataclass) == kept
