"""Files by their SHA-256 in a folder of the device: what was sent once is not sent again."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.artifact import sha256_of_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Blobs", "NoRoomError"]

_HEX = "[0-9a-f]"
_KEPT, _COMING = f"{2 * _HEX}/{64 * _HEX}", f"{32 * _HEX}.part"
"""Names of ours: where the folder is somebody's home, there may be a ``cache`` of theirs in it."""
_DEAD_NS = 60 * 1_000_000_000
"""So long after its last byte a file without a lock was left by a writer that died: an older agent takes no lock, and
ends when nothing comes for seconds."""


class NoRoomError(Exception):
    """What should be kept does not fit; its text says why."""


class Blobs:
    """The cache below ``root``, never larger than it may be."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, sha256: str) -> Path:
        """Where the file of that hash lies, if it is there."""
        return self._root / sha256[:2] / sha256

    def lacking(self, sizes: Mapping[str, int]) -> list[str]:
        """Which of the hashes are not here. Each one that is here is read: damaged ones are removed.

        Those that are here count as used now.
        """
        return [sha256 for sha256, size in sizes.items() if not self._intact(sha256, size)]

    def _intact(self, sha256: str, size: int) -> bool:
        path = self.path(sha256)
        try:
            if path.stat().st_size == size and sha256_of_file(path) == sha256:
                os.utime(path)
                return True
        except FileNotFoundError:  # also one that another agent makes room of meanwhile
            return False
        path.unlink(missing_ok=True)
        return False

    def make_room(self, size: int, *, keep: Iterable[str], limit: int, least_free: int, promised: int = 0) -> None:
        """Remove what was not used for longest until ``size`` more bytes fit.

        Args:
            size: Bytes to come.
            keep: Hashes that stay.
            limit: Bytes that all files may have together.
            least_free: Bytes that stay free on the disk.
            promised: Bytes that are still to come for others, who have made room for them.

        Raises:
            NoRoomError: when they do not fit all the same; nothing that has to stay was removed.
        """
        place = self._root if self._root.exists() else self._root.parent  # made with the first file: so is it cleared
        kept = set(keep)
        found = list(self._held())
        held = sum(status.st_size for status, _ in [*found, *_regular(self._coming())])
        removable = sorted(
            (status.st_mtime_ns, path, status.st_size) for status, path in found if path.name not in kept
        )
        coming = size + promised
        while held + coming > limit or shutil.disk_usage(place).free - coming < least_free:
            if not removable:
                free = shutil.disk_usage(place).free
                others = f" and {promised / 2**20:.1f} come for another run" if promised else ""
                raise NoRoomError(
                    f"{size / 2**20:.1f} MiB have to be sent{others}; {free / 2**20:.0f} MiB are free of which "
                    f"{least_free / 2**20:.0f} have to stay, and the cache may hold {limit / 2**20:.0f} MiB"
                )
            _, path, freed = removable.pop(0)
            held -= freed
            path.unlink(missing_ok=True)
            with suppress(OSError):  # not empty: an empty one would not be known as ours when all is cleared
                path.parent.rmdir()

    def clear(self) -> tuple[int, list[str]]:
        """Remove all that is kept or left half written, and each folder that held such and holds nothing else.

        Returns:
            How many bytes that were, and what could not be removed and why, a line each.
        """
        freed, left, emptied = 0, [], set()
        for status, path in [*self._held(), *_regular(self._root.glob(_COMING))]:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                left.append(str(error))
                continue
            freed += status.st_size
            emptied |= {path.parent, self._root}
        for folder in sorted(emptied, reverse=True):  # what is below the root first
            with suppress(OSError):  # not ours alone
                folder.rmdir()
        return freed, left

    def _held(self) -> Iterator[tuple[os.stat_result, Path]]:
        """What is kept."""
        for status, path in _regular(self._root.glob(_KEPT)):
            if path.parent.name == path.name[:2]:
                yield status, path

    def _coming(self) -> Iterator[Path]:
        """Files that others may be writing; what writers that died have left is removed."""
        for _, path in _regular(self._root.glob(_COMING)):
            with suppress(FileNotFoundError), path.open("r+b") as file:
                age_ns = time.time_ns() - os.fstat(file.fileno()).st_mtime_ns
                if 0 <= age_ns < _DEAD_NS:  # a clock that was set back tells no age: then the lock alone does
                    yield path
                    continue
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    yield path
                else:
                    path.unlink()

    def put(self, sha256: str, pieces: Iterable[bytes]) -> bool:
        """Keep a file; whether its bytes are what its name says. All pieces are taken, also where that fails.

        Raises:
            OSError: when it cannot be written; then too nothing is left of it.
        """
        pieces = iter(pieces)
        home = self.path(sha256)
        coming = self._root / f"{uuid.uuid4().hex}.part"
        digest = hashlib.sha256()
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with coming.open("wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # until it is whole, or its writer has died
                for piece in pieces:
                    digest.update(piece)
                    file.write(piece)
            if digest.hexdigest() != sha256:
                return False
            home.parent.mkdir(exist_ok=True)
            try:
                coming.replace(home)
            except FileNotFoundError:  # another agent has just made room, and this folder was empty
                home.parent.mkdir(exist_ok=True)
                coming.replace(home)
            return True
        finally:
            for _ in pieces:
                pass  # the next message stands behind them
            coming.unlink(missing_ok=True)


def _regular(paths: Iterable[Path]) -> Iterator[tuple[os.stat_result, Path]]:
    """Of the files that are still there: no folders, no links."""
    for path in paths:
        with suppress(FileNotFoundError):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                yield status, path
