"""What is said of a user's file that is not there, the same for every kind of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import UsageError, nearest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["missing_file"]


def missing_file(what: str, file: Path, *, otherwise: str | None = None) -> UsageError:
    """The error for a file that is not there, naming the nearest of its kind beside it.

    Args:
        what: Kind of file, in words.
        file: As it was given; its suffix says which others are of its kind.
        otherwise: What was expected, where nothing is near.
    """
    parent = file.parent
    siblings = [str(path) for path in parent.glob(f"*{file.suffix}")] if parent.is_dir() else []
    close = nearest(str(file), siblings)
    return UsageError(
        f"there is no such {what}",
        where=str(file),
        got=None if parent.is_dir() else f"{parent} does not exist either",
        expected=f"did you mean {' or '.join(close)}?" if close else otherwise,
    )
