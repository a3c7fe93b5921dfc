"""Putting a folder where another one may stand, so that a reader finds the old one or the new one."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING

from pipeline.leftovers import holding, temporary_beside

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["exchange", "replace_folder"]

_OCCUPIED = frozenset({errno.ENOTEMPTY, errno.EEXIST})


def replace_folder(work: Path, folder: Path) -> None:
    """Put the folder ``work`` where ``folder`` is to be; what stood there is at ``work`` then, and the caller's.

    Whoever else does the same meanwhile, a reader finds a whole one.
    """
    try:
        work.rename(folder)
    except OSError as error:
        if error.errno not in _OCCUPIED:
            raise
        exchange(work, folder)


def exchange(first: Path, second: Path) -> None:
    """Swap two folders of one file system; on Linux at once, so that there is always one at either place.

    On a file system that cannot, such as NFS, ``second`` is away for a moment.
    """
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is not None:
        here = ctypes.c_int(-100)  # AT_FDCWD: relative to the working folder
        if renameat2(here, os.fsencode(first), here, os.fsencode(second), ctypes.c_uint(2)) == 0:  # RENAME_EXCHANGE
            return
    aside = temporary_beside(second)
    with holding(second):
        second.rename(aside)
        try:
            first.rename(second)
        except BaseException:
            aside.rename(second)
            raise
        aside.rename(first)
