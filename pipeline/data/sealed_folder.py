"""Whether a folder of images that we wrote is still what was written: a list of its files and their hashes lies in it.

The list is hidden, so that no reader of folders sees it, and sealed by a hash of what it says. Hidden files of others,
as file browsers leave them, do not count.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.artifact import canonical_json, parse_json, sha256_of_file, sha256_of_json
from pipeline.data.index import FileIndex
from pipeline.data.publish import publish_folder
from pipeline.progress import SilentProgress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.progress import Progress

__all__ = ["is_as_written", "publish_sealed"]

_LIST = ".written.json"


@contextmanager
def publish_sealed(target: Path, cache: Path) -> Iterator[Path]:
    """Like :func:`pipeline.data.publish.publish_folder`; the list is added, and a folder that is not as written goes.

    Raises:
        ResourceError: when the disk is full or not writable.
    """
    place = target.resolve()  # a link to a folder stays one
    with publish_folder(place, stays=lambda: is_as_written(place, cache, SilentProgress())) as folder:
        yield folder
        files = {name: sha256_of_file(folder / name) for name in _files(folder)}
        listed = {"files": files, "sha256": sha256_of_json(files)}
        (folder / _LIST).write_text(canonical_json(listed), encoding="utf-8")


def is_as_written(target: Path, cache: Path, progress: Progress) -> bool:
    """Whether a folder is there and its files are those of its list; one that was never sealed is not.

    A folder that is there and is not as written is told.

    Args:
        target: The folder.
        cache: With the index of hashes: only files that are new or changed are read.
        progress: Where hashing is reported.

    Raises:
        DataError: naming a file that cannot be read.
    """
    if not target.is_dir():
        return False
    listed, found = _listed(target), _files(target)
    if listed is not None and listed.keys() == set(found):
        paths = [target / name for name in found]
        with FileIndex(cache) as index:
            hashes = index.hashes(paths, progress)
        if all(hashes[target / name].sha256 == sha256 for name, sha256 in listed.items()):
            return True
    progress.note(f"{target} cannot be seen to be what was written there: it is made anew")
    return False


def _listed(folder: Path) -> dict[str, str] | None:
    """Relative path to SHA-256 of what was written; None where no list, or a damaged one, says it."""
    try:
        listed = parse_json((folder / _LIST).read_bytes())
        files: dict[str, str] = listed["files"]
        return files if listed["sha256"] == sha256_of_json(files) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # whatever it is, it says nothing
        return None


def _files(folder: Path) -> list[str]:
    """Relative paths of all files that are not hidden, with "/"; linked folders are not followed."""
    return [
        Path(parent, name).relative_to(folder).as_posix()
        for parent, _, names in os.walk(folder)
        for name in names
        if not name.startswith(".")
    ]
