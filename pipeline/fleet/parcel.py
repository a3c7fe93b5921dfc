"""Results on their way from the machine that made them: the files of a folder, put in place all at once."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pipeline.errors import IntegrityError
from pipeline.leftovers import folder_beside, sweep
from pipeline.replacing import replace_folder
from pipeline.store import room_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["packed", "unpack"]


def packed(folder: Path) -> dict[str, bytes]:
    """The files below a folder by their relative POSIX paths."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def unpack(files: Mapping[str, bytes], folder: Path) -> None:
    """Make ``folder`` hold these files and nothing else; a reader sees what stood there before, or all of them.

    Raises:
        IntegrityError: when a name leads out of the folder; nothing is written then.
        ResourceError: when the disk is full; what stood there before still does.
    """
    for name in files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise IntegrityError("results name a file outside their own folder", where=str(folder), got=name)
    place = folder.resolve()  # a link stays one, to the new files
    with room_for("the results", folder, sum(map(len, files.values()))):
        place.parent.mkdir(parents=True, exist_ok=True)
        with folder_beside(place) as work:
            for name, content in files.items():
                path = work / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            replace_folder(work, place)  # what stood there is now in the temporary folder, which goes
    sweep(place.parent)
