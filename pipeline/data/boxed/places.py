"""Paths that files of annotations name: where they lead, as long as it is below the data folder.

One rule for all formats: what is named has to lie below the folder, however it is written, absolute or not. A folder
within it that is a link to somewhere else is followed, and told, as in a folder of classes.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["below", "is_file", "is_folder", "spellings"]


def below(root: Path, place: Path) -> Path | None:
    """The place as a path that begins with ``root``; None for one that leads out of it, or is no path.

    Args:
        root: The data set's folder.
        place: Absolute, or as seen from here; it need not be there.
    """
    there, base = Path(os.path.abspath(place)), Path(os.path.abspath(root))  # noqa: PTH100 - links are not followed yet
    try:
        if not there.is_relative_to(base):
            there, base = place.resolve(), root.resolve()
    except (OSError, RuntimeError, ValueError):  # too long, a loop of links, a null byte
        return None
    return root / there.relative_to(base) if there.is_relative_to(base) else None


def spellings(name: str) -> tuple[str, ...]:
    """A path as it stands in a file, and where it is written with backslashes, as on Windows, with slashes too."""
    return tuple(dict.fromkeys((name, name.replace("\\", "/"))))


def is_file(path: Path) -> bool:
    """Whether a plain file is there, and can be found; never an error, whatever the path is made of."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for a name that is too long


def is_folder(path: Path) -> bool:
    """Whether a folder is; as :func:`is_file`."""
    return os.path.isdir(path)  # noqa: PTH112 - as above
