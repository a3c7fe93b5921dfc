"""What tests of printed and written texts share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

Golden = Callable[[str, str], None]

_GOLDEN = Path(__file__).parents[1] / "golden"


def _compare(name: str, text: str) -> None:
    file = _GOLDEN / name
    if os.environ.get("EDGEWRIGHT_GOLDEN") == "write":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert file.is_file(), f"{file} is not there: EDGEWRIGHT_GOLDEN=write makes it"
    assert text == file.read_text(encoding="utf-8"), f"{name}: was the change wanted? EDGEWRIGHT_GOLDEN=write renews it"


@pytest.fixture(scope="session")
def golden() -> Golden:
    """Compares a text with the file of that name below ``tests/golden``.

    After a wanted change ``EDGEWRIGHT_GOLDEN=write make test`` writes the files anew; what changed is read in the diff.
    """
    return _compare
