"""Where results are kept: artifacts by the hash of their content, and what key led to which artifact.

::

    <root>/artifacts/<sha256>/         artifact.json and the files
    <root>/keys/<key>.json             which artifact a stage's key gave, and what the key was made of
    <root>/records/<kind>/<key>.json   measurements and other small results
    <root>/work/<name>/                being made; removed by the next run when its owner is gone
    <root>/unfinished/<key>/           what a killed stage left for its next run
    <root>/quarantine/<sha256>-<n>/    bytes that no longer were what their name says
    <root>/users/<name>.lock           held by a process that uses the store; see pipeline/store_use.py

Everything is written to a temporary place, hashed, fsynced and renamed, the metadata last: a reader sees a finished
result or none. Whatever is read is verified first; what does not verify is set aside and counts as absent.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.artifact import Artifact, ArtifactKind, FileEntry, Json, canonical_json, parse_json, sha256_of_json
from pipeline.errors import ContractError, EdgewrightError, ResourceError
from pipeline.leftovers import file_beside, opened_to_lock, sweep
from pipeline.store_use import StoreUse, earliest_user, gate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "ANOTHER_OUT",
    "METADATA",
    "KeyRecord",
    "Store",
    "default_root",
    "foreign_disk_errors",
    "read_artifact",
    "read_note",
    "room_for",
    "write_and_fsync",
    "write_atomically",
]

METADATA = "artifact.json"
_KEY_SCHEMA = "edgewright.key/1"
_NO_ROOM_BYTES = 1 << 16
_DISK_IS_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Numbers of the errors that say so."""
_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP})
_ANOTHER_USERS = frozenset({errno.EACCES, errno.EPERM, errno.EBADF})
"""What comes of a lock file that this process may not write: NFS then does not lock it either."""
_NOT_THE_FILES_FAULT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.EPERM})
"""Errors of reading that say nothing about the bytes: an artifact must not be set aside for them."""
ANOTHER_OUT = "free some space, or choose another --out; finished stages are kept"
"""What to do where there is no room for a run's results."""


def default_root() -> Path:
    """``$EDGEWRIGHT_CACHE``, else ``$XDG_CACHE_HOME/edgewright``, else ``~/.cache/edgewright``."""
    if chosen := os.environ.get("EDGEWRIGHT_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "edgewright"


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyRecord:
    """What one run of a stage left: the artifact, what its key was made of, and how long it took."""

    artifact_sha256: str
    components: Mapping[str, Json]
    wall_s: float
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Store:
    """The store below one folder. Several processes may share it."""

    root: Path
    lost: list[str] = field(default_factory=list, compare=False)
    """Hashes of artifacts that had to be set aside since this store was opened."""
    _use: StoreUse = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_use", StoreUse(self.root))

    def commit(self, kind: ArtifactKind, folder: Path, facts: Mapping[str, Json]) -> Artifact:
        """Make the files below ``folder`` (from :meth:`workspace`) an artifact; ``folder`` is consumed.

        Committing the same content twice gives the same artifact and keeps the first copy.

        Raises:
            ResourceError: when the disk is full.
            ContractError: when the folder holds a file of the store's own name.
        """
        if (folder / METADATA).exists():
            raise ContractError(f"a stage wrote {METADATA}, which is the store's own name", where=str(folder))
        with _disk_errors(self.root):
            artifact = Artifact.of_folder(kind, folder, facts)
            home = self.root / "artifacts" / artifact.sha256
            stored = Artifact(kind=kind, files=artifact.files, facts=artifact.facts, root=home)
            if self.find(artifact.sha256) is not None:
                shutil.rmtree(folder)
                return stored
            for entry in artifact.files:
                path = folder / entry.path
                _fsync(path)
                path.chmod(0o444)
            write_and_fsync(folder / METADATA, canonical_json(artifact.to_json()))
            home.parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.rename(home)
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
                shutil.rmtree(folder)  # another process finished the same content first
            _fsync(home.parent)
            return stored

    def find(self, sha256: str) -> Artifact | None:
        """The artifact of that identity, verified byte by byte; None when absent or damaged."""
        home = self.root / "artifacts" / sha256
        if not home.exists():  # first: what comes later, from another process, comes whole
            return None
        with _disk_errors(self.root):
            self._use.of(home / METADATA)
        try:
            return read_artifact(home)
        except FileNotFoundError:
            if not home.exists():
                return None
        except (ValueError, KeyError, TypeError):
            pass
        except OSError as error:
            if error.errno in _NOT_THE_FILES_FAULT:
                raise
        self._quarantine(home, sha256)
        return None

    def _quarantine(self, home: Path, sha256: str) -> None:
        self.lost.append(sha256)
        aside = self.root / "quarantine" / f"{sha256}-{uuid.uuid4().hex[:8]}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another process was quicker
            home.rename(aside)

    def remember(self, key: str, record: KeyRecord) -> None:
        """Note which artifact a key gave; the last step of a stage's run."""
        value = {
            "schema": _KEY_SCHEMA,
            "artifact": record.artifact_sha256,
            "components": dict(record.components),
            "wall_s": record.wall_s,
            "notes": list(record.notes),
        }
        self._put(self.root / "keys" / f"{key}.json", value)

    def recall(self, key: str) -> KeyRecord | None:
        """What the key gave before; None when it never ran or the note is damaged."""
        value = self._get(self.root / "keys" / f"{key}.json")
        if value is None or value.get("schema") != _KEY_SCHEMA:
            return None
        return KeyRecord(
            artifact_sha256=value["artifact"],
            components=value["components"],
            wall_s=value["wall_s"],
            notes=tuple(value["notes"]),
        )

    def remembered(self, stage: str) -> Iterator[KeyRecord]:
        """Every run of the named stage that is remembered, the newest first; damaged notes are passed over."""
        notes = sorted((self.root / "keys").glob("*.json"), key=_written_ns, reverse=True)
        for path in notes:
            record = self.recall(path.stem)
            if record is not None and record.components.get("stage") == stage:
                yield record

    def put_record(self, kind: str, key: str, value: Json) -> None:
        """Keep a small JSON result under a key."""
        self._put(self.root / "records" / kind / f"{key}.json", value)

    def get_record(self, kind: str, key: str) -> Json | None:
        """The result kept under that key, or None when absent or damaged."""
        path = self.root / "records" / kind / f"{key}.json"
        if path.exists():
            with _disk_errors(self.root):
                self._use.of(path)
        return self._get(path)

    def _put(self, path: Path, value: Json) -> None:
        with _disk_errors(self.root):
            _replace(path, canonical_json({"key": path.stem, "sha256": sha256_of_json(value), "value": value}))

    def _get(self, path: Path) -> Json | None:
        try:
            return read_note(path)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            self.lost.append(path.stem)
            return None

    def free_bytes(self) -> int:
        """Room on the store's file system."""
        return shutil.disk_usage(_nearest_existing(self.root)).free

    def sweep(self) -> None:
        """Remove what killed processes left: half-written keys and records, and word that they use the store."""
        if self.root.exists():
            with _disk_errors(self.root), gate(self.root, alone=True):
                earliest_user(self.root)
        for folder in (self.root / "keys", *(self.root / "records").glob("*")):
            sweep(folder)

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """An empty private folder on the store's file system; removed afterwards unless it was committed.

        Folders of processes that are gone (killed, power cut) are removed on the way.
        """
        work = self.root / "work"
        with _disk_errors(self.root):
            work.mkdir(parents=True, exist_ok=True)
            self._use.begin()
            self._sweep(work)
            name = uuid.uuid4().hex
            folder = work / name
            with _held(work / f"{name}.lock"):
                folder.mkdir()
                try:
                    yield folder
                except OSError as error:
                    if error.errno in _DISK_IS_FULL:
                        raise _full(str(self.root), self.root, in_vain=folder) from error
                    raise
                finally:
                    shutil.rmtree(folder, ignore_errors=True)
                    (work / f"{name}.lock").unlink(missing_ok=True)

    @contextmanager
    def kept(self, key: str) -> Iterator[Path]:
        """A folder for what a killed run of a key leaves to the next one; removed when the block ends well."""
        folder = self._unfinished(key)
        with _disk_errors(self.root):
            folder.mkdir(parents=True, exist_ok=True)
        yield folder
        shutil.rmtree(folder)

    def drop_kept(self, key: str) -> None:
        """Remove what is kept of a key, which :meth:`exclusive` holds: a run killed after its last step left it."""
        if (folder := self._unfinished(key)).exists():
            try:
                with _disk_errors(self.root):
                    shutil.rmtree(folder)
            except OSError as error:
                if error.errno not in _ANOTHER_USERS:
                    raise

    def _unfinished(self, key: str) -> Path:
        return self.root / "unfinished" / key

    @staticmethod
    def _sweep(work: Path) -> None:
        for lock in work.glob("*.lock"):
            try:
                with os.fdopen(opened_to_lock(lock)) as handle:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                    lock.unlink(missing_ok=True)
            except BlockingIOError:
                continue  # its owner lives
            except FileNotFoundError:
                continue  # swept by another process
            except OSError as error:
                if error.errno not in _ANOTHER_USERS:
                    raise

    @contextmanager
    def exclusive(self, key: str) -> Iterator[None]:
        """One process at a time works on a key; others wait. The kernel frees the lock when its holder dies."""
        path = self.root / "locks" / f"{key}.lock"
        with _disk_errors(self.root):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.fdopen(opened_to_lock(path, os.O_CREAT))  # that of another user's run stays behind
        with handle:
            with _disk_errors(self.root):
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _written_ns(path: Path) -> int:
    """When a file was written; 0 of one that is gone: whoever tidies up may come between."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def read_artifact(home: Path) -> Artifact:
    """The artifact in its folder, every byte of it verified; its identity is the folder's name.

    Raises:
        ValueError: when a file or the description is not what it was, saying which. Also KeyError and TypeError.
        OSError: when something is not there or cannot be read.
    """
    text = (home / METADATA).read_text(encoding="utf-8")
    artifact = Artifact.from_json(parse_json(text), home)
    if artifact.sha256 != home.name or canonical_json(artifact.to_json()) != text:
        raise ValueError(f"{METADATA} is not what it was")
    for entry in artifact.files:
        if FileEntry.of(home, home / entry.path) != entry:
            raise ValueError(f"{entry.path} is not what it was")
    return artifact


def read_note(path: Path) -> Json:
    """The value of a key's or record's file, whose name is its key.

    Raises:
        ValueError: when it is not what was written, or lies under another name. Also KeyError and TypeError.
        OSError: when it is not there or cannot be read.
    """
    text = path.read_text(encoding="utf-8")
    envelope = parse_json(text)
    value = envelope["value"]
    spelled = {"sha256": sha256_of_json(value), "value": value}
    if text not in {canonical_json({"key": path.stem, **spelled}), canonical_json(spelled)}:  # the latter is older
        raise ValueError("not what was written")
    return value


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace ``path`` by a text, or by bytes, so that a reader sees the old or the new content, never a part.

    What killed processes left beside it on the way to the same goes.
    """
    _replace(path, content)
    sweep(path.parent)


def _replace(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with file_beside(path) as work:
        write_and_fsync(work, content)
        work.replace(path)
    _fsync(path.parent)


def write_and_fsync(path: Path, content: str | bytes) -> None:
    """Write a file, and have it on the disk before anything that comes after."""
    with path.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _nearest_existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


@contextmanager
def _disk_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise ResourceError(
                "this file system has no locks, and several runs may use a store",
                where=str(root),
                got=error.strerror,
                fix="mount it with locks, or put the store elsewhere with EDGEWRIGHT_CACHE",
            ) from error
        if error.errno not in _DISK_IS_FULL:
            raise
        raise _full(error.filename or str(root), root) from error


@contextmanager
def room_for(what: str, place: Path, size_bytes: int, *, fix: str = ANOTHER_OUT) -> Iterator[None]:
    """Around writing results to a place of the user's.

    Args:
        what: Is written.
        place: Where.
        size_bytes: About how much it takes.
        fix: What to do where there is no room.

    Raises:
        ResourceError: when there is no room for it.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_IS_FULL:
            raise
        raise ResourceError(
            f"the disk is full: there is no room for {what}",
            where=str(place),
            got=f"{shutil.disk_usage(_nearest_existing(place)).free / 2**20:.2f} MiB free",
            expected=f"about {size_bytes / 2**20:.2f} MiB",
            fix=fix,
        ) from error


@contextmanager
def foreign_disk_errors(folder: Path) -> Iterator[None]:
    """Around a library that writes into ``folder`` in C++: its errors do not say that the disk was full.

    Raises:
        ResourceError: in place of the library's own error when there is no room left.
    """
    try:
        yield
    except EdgewrightError:
        raise
    except Exception as error:
        if shutil.disk_usage(folder).free >= _NO_ROOM_BYTES:
            raise
        raise _full(str(folder), folder, in_vain=folder) from error


def _full(where: str, root: Path, *, in_vain: Path | None = None) -> ResourceError:
    """The error for a disk that is full; what was written in vain says how much is too little."""
    needed = sum(path.stat().st_size for path in in_vain.rglob("*") if path.is_file()) if in_vain else 0
    return ResourceError(
        "the disk is full",
        where=where,
        got=f"{shutil.disk_usage(_nearest_existing(root)).free / 2**20:.0f} MiB free",
        expected=f"room for this result, which takes more than {needed / 2**20:.2f} MiB"
        if needed
        else "room for a note of some kilobytes, and for the results that follow",
        fix="free some space, or put the store elsewhere with EDGEWRIGHT_CACHE; finished stages are kept",
    )
