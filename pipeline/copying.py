"""Copying a folder, where whatever goes wrong is told as it is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

__all__ = ["copy_folder"]


def copy_folder(source: Path, target: Path) -> None:
    """Copy the files below ``source`` into ``target``, which may be there.

    The first error ends it: ``shutil.copytree`` gathers them as texts, and a full disk is not known by its number then.
    """
    for place, _, files in os.walk(source, onerror=_raised):
        there = target / Path(place).relative_to(source)
        there.mkdir(parents=True, exist_ok=True)
        for name in files:
            shutil.copy2(Path(place, name), there / name)


def _raised(error: OSError) -> None:
    raise error
