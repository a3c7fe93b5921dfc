"""Parts of SciPy, loaded where they are needed and where there is room for what comes along."""

from __future__ import annotations

import mmap
import os
import sys
from importlib import import_module
from typing import Any, Literal

__all__ = ["scipy_part"]

_MIB = 1 << 20
_OF_LIBRARIES, _OF_A_CORE = 96 * _MIB, 40 * _MIB
"""Of address space: SciPy's libraries, and OpenBLAS's buffer and stack for each of its threads."""


def scipy_part(name: Literal["optimize", "special"]) -> Any:  # noqa: ANN401 - SciPy has no types
    """The module ``scipy.<name>``.

    Raises:
        MemoryError: where there is no room for OpenBLAS, which would look for it for ever.
    """
    if "scipy.special" not in sys.modules:
        wanted = _OF_LIBRARIES + _OF_A_CORE * (os.cpu_count() or 1)
        try:
            mmap.mmap(-1, wanted).close()
        except OSError as error:
            raise MemoryError(f"OpenBLAS, which SciPy loads, asks for {wanted // _MIB} MiB: {error}") from error
    return import_module(f"scipy.{name}")
