"""What is already known about files that did not change: their hash; and about images: that they decode, and as what.

A file is taken as unchanged when path, size and modification time (ns) are. The index is a cache: deleting it costs
time and nothing else. Each row is sealed by a hash of what it says: one that was changed counts as unknown, and an
index that can no longer be read is made anew. Of an image the rule by which it is read is sealed too.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pipeline.artifact import sha256_of_file
from pipeline.environment import usable_cores
from pipeline.errors import DataError, ResourceError
from pipeline.image_input import READING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pipeline.progress import Progress

__all__ = ["Decoded", "FileIndex", "Hashed"]

_TABLES = """
CREATE TABLE IF NOT EXISTS sealed_files
    (path TEXT PRIMARY KEY, size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, sha256 TEXT NOT NULL,
    seal TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sealed_images
    (sha256 TEXT PRIMARY KEY, several INTEGER NOT NULL, look BLOB NOT NULL, seal TEXT NOT NULL);
"""
_SETTLED_NS = 2_000_000_000
"""A file this young may change again within one tick of its modification time: it is hashed, but not remembered."""
_FILES = "SELECT path, size_bytes, mtime_ns, sha256, seal FROM sealed_files WHERE path IN"
_IMAGES = "SELECT sha256, several, look, seal FROM sealed_images WHERE sha256 IN"
_ERRORS = (sqlite3.DatabaseError, UnicodeDecodeError)
_VARIABLES = 500
"""Values in one query; SQLite's oldest limit is 999."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """What decoding an image has shown.

    Attributes:
        several: Whether the file holds more pictures than the one that is read: an animation, pages.
        look: As of :func:`pipeline.data.look.look_of`.
    """

    several: bool
    look: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Hashed:
    """A file's SHA-256, and its size in bytes and modification time (ns) then."""

    sha256: str
    status: tuple[int, int]


class FileIndex:
    """The index below a cache folder, safe to use by several processes at once; open it with ``with``."""

    def __init__(self, cache: Path) -> None:
        self._path = cache / "index.sqlite"
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        """Open the index; one that cannot be read is made anew."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._connection = self._open()
            except _ERRORS as error:
                if not self._damaged(error):
                    raise
                self._path.unlink()
                self._connection = self._open()
        except (OSError, sqlite3.Error) as error:
            raise self._unwritable(error) from error
        return self

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=60)
        try:
            connection.executescript(_TABLES)
        except (sqlite3.Error, UnicodeDecodeError):
            connection.close()
            raise
        return connection

    def __exit__(self, *exc_info: object) -> None:
        """Close it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def hashes(self, paths: Sequence[Path], progress: Progress) -> dict[Path, Hashed]:
        """SHA-256 of each file, reading only those that are new or changed.

        Raises:
            DataError: naming the file, when one cannot be read or is no plain file, such as a pipe.
        """
        keys = {path: os.path.abspath(path) for path in paths}  # noqa: PTH100 - ten times faster over a million files
        known = {path: (size, mtime, sha256) for path, size, mtime, sha256 in self._lookup(_FILES, keys.values())}
        found: dict[Path, str] = {}
        unknown: list[Path] = []
        stats: dict[Path, tuple[int, int]] = {}
        for path, key in keys.items():
            stats[path] = _stat(path)
            if key in known and known[key][:2] == stats[path]:
                found[path] = known[key][2]
            else:
                unknown.append(path)
        if unknown:
            found |= self._hash_all(unknown, progress)
            self._remember(unknown, keys, stats, found)
        return {path: Hashed(sha256=found[path], status=stats[path]) for path in paths}

    def _hash_all(self, paths: Sequence[Path], progress: Progress) -> dict[Path, str]:
        with ThreadPoolExecutor(usable_cores()) as pool, progress.track("hashing images", len(paths)) as ticker:
            found = {}
            for path, sha256 in zip(paths, pool.map(_hash, paths), strict=True):
                found[path] = sha256
                ticker.advance()
        return found

    def _remember(
        self,
        paths: Sequence[Path],
        keys: dict[Path, str],
        stats: dict[Path, tuple[int, int]],
        found: dict[Path, str],
    ) -> None:
        settled_before = time.time_ns() - _SETTLED_NS
        rows = [(keys[path], *stats[path], found[path]) for path in paths if stats[path][1] < settled_before]
        self._write("INSERT OR REPLACE INTO sealed_files VALUES (?, ?, ?, ?, ?)", _FILES, rows)

    def decoded(self, hashes: Iterable[str]) -> dict[str, Decoded]:
        """Those of the hashes whose files are known to decode, with what they decode to."""
        rows = self._lookup(_IMAGES, hashes, READING)
        return {sha256: Decoded(several=bool(several), look=look) for sha256, several, look in rows}

    def remember_decoded(self, images: Mapping[str, Decoded]) -> None:
        """Note that the files of these hashes decode, and to what."""
        rows = [(sha256, int(one.several), one.look) for sha256, one in images.items()]
        self._write("INSERT OR REPLACE INTO sealed_images VALUES (?, ?, ?, ?)", _IMAGES, rows, READING)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            message = "the index is used outside of its with block"
            raise RuntimeError(message)
        return self._connection

    def _lookup(self, query: str, values: Iterable[str], *rule: int) -> Iterator[tuple[Any, ...]]:
        """The rows as they were written, by the same rule, without their seals."""
        values = list(values)
        for start in range(0, len(values), _VARIABLES):
            part = values[start : start + _VARIABLES]
            asked = f"{query} ({','.join('?' * len(part))})"
            try:
                rows = self._opened().execute(asked, part).fetchall()
            except _ERRORS as error:
                if not self._damaged(error):
                    raise
                self._make_anew()
                return
            yield from (row[:-1] for row in rows if row[-1] == _seal((*rule, *row[:-1])))

    def _write(self, statement: str, query: str, rows: Sequence[tuple[str, *tuple[object, ...]]], *rule: int) -> None:
        """Write rows; an index that does not find them again, whose order is damaged, is made anew."""
        sealed = [(*row, _seal((*rule, *row))) for row in rows]
        keys = {row[0] for row in rows}
        try:
            try:
                with self._opened() as connection:
                    connection.executemany(statement, sealed)
                finds_them = {row[0] for row in self._lookup(query, keys, *rule)} == keys
            except _ERRORS as error:
                if not self._damaged(error):
                    raise
                finds_them = False
            if not finds_them:
                self._make_anew()
                with self._opened() as connection:
                    connection.executemany(statement, sealed)
        except sqlite3.OperationalError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: Exception) -> ResourceError:
        return ResourceError(
            "the index of files cannot be written",
            where=str(self._path),
            got=str(error),
            expected="a place that can be written to, with room for about 1 KiB for each image",
            fix="free some space, or put the store elsewhere with EDGEWRIGHT_CACHE",
        )

    def _damaged(self, error: Exception) -> bool:
        """Whether the bytes of the index are to blame, not a lock, the disk or a permission."""
        # What is no UTF-8 is Python's complaint, and has no code.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}:  # a header may say so, too
            return os.access(self._path, os.W_OK) and os.access(self._path.parent, os.W_OK)
        return code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}

    def _make_anew(self) -> None:
        self._opened().close()
        self._path.unlink(missing_ok=True)
        self._connection = self._open()


def _seal(row: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(row).encode("utf-8", "surrogatepass")).hexdigest()


def _stat(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(
            "this image cannot be read", where=str(path), got=error.strerror, fix="see that it is there and may be read"
        ) from error
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
        raise DataError("this image is not a plain file", where=str(path), fix="remove it")
    return status.st_size, status.st_mtime_ns


def _hash(path: Path) -> str:
    try:
        return sha256_of_file(path)
    except OSError as error:
        raise DataError(
            "this image cannot be read", where=str(path), got=error.strerror, fix="see that it is there and may be read"
        ) from error
