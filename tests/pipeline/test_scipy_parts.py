"""SciPy is loaded where there is room for it."""

from __future__ import annotations

import mmap
import sys
from typing import NoReturn

import pytest

from pipeline import scipy_parts
from pipeline.errors import out_of_memory
from pipeline.scipy_parts import scipy_part


def test_it_is_scipys_own() -> None:
    assert scipy_part("special").ndtri(0.5) == 0


def test_without_room_for_openblas_memory_has_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int, _length: int) -> NoReturn:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.delitem(sys.modules, "scipy.special", raising=False)
    monkeypatch.setattr(mmap, "mmap", full)
    with pytest.raises(MemoryError, match=r"^OpenBLAS, which SciPy loads, asks for \d+ MiB: ") as lacking:
        scipy_part("special")
    assert out_of_memory(lacking.value) == str(lacking.value)


def test_what_is_loaded_already_needs_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    scipy_part("special")
    monkeypatch.setattr(scipy_parts, "_OF_LIBRARIES", 1 << 62)
    assert scipy_part("special") is sys.modules["scipy.special"]
