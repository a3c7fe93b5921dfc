"""Temporary files and folders that say whether whoever writes them still lives, and removing those of the dead.

Whoever makes one holds a lock on it (``flock``), which the kernel frees at its death, however that came. What is
locked, or so young that its maker may not have come to lock it, is left alone; so is what cannot be locked, and what
has not our mark in its name. Of folders on a network the lock is known on the one host alone: they are left alone for a
day.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "NO_LOCKS",
    "file_beside",
    "folder_beside",
    "holding",
    "opened_to_lock",
    "own_scratch",
    "shared_temporary_folder",
    "sweep",
    "sweep_scratch",
    "temporary_beside",
]

_BESIDE = re.compile(r"\.edgewright-[0-9a-f]{32}\.tmp")
_LETTERS = "ghjkmnpqrstvwxz"
_SCRATCH = re.compile(f"edgewright-[{_LETTERS}]{{12}}")
"""No word, date or hash that somebody else would put there; short, since Ray's sockets lie below it."""
_COMPILED = "TORCHINDUCTOR_CACHE_DIR"
_YOUNG_NS = 2_000_000_000
NO_LOCKS = frozenset({errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP})
"""Of a file system that has none, or none for what is open for reading alone, as NFS of another user's file."""
_DAY_NS = 86_400 * 1_000_000_000
_ON_A_NETWORK = frozenset({0x6969, 0xFF534D42, 0xFE534D42, 0x01021997, 0x65735546})
"""Linux's numbers of NFS, CIFS, SMB2, 9P and FUSE, where the kernel locks folders without asking the server."""
_UNTOUCHABLE = NO_LOCKS | {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ELOOP,
    errno.ENXIO,
    errno.EWOULDBLOCK,
}


def temporary_beside(path: Path) -> Path:
    """A new name beside ``path`` that :func:`sweep` knows and nobody else gives; nothing is made."""
    return path.with_name(f".edgewright-{uuid.uuid4().hex}.tmp")


@contextmanager
def folder_beside(path: Path, mode: int = 0o777) -> Iterator[Path]:
    """A new folder beside ``path``, held while the block lasts; what is under its name then goes."""
    work = temporary_beside(path)
    try:
        work.mkdir(mode=mode)
        with holding(work):
            yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def file_beside(path: Path) -> Iterator[Path]:
    """The same of an empty file."""
    work = temporary_beside(path)
    try:
        work.touch(exist_ok=False)
        with holding(work):
            yield work
    finally:
        work.unlink(missing_ok=True)


@contextmanager
def holding(path: Path, *, make: bool = False, wait: bool = True) -> Iterator[None]:
    """Hold a file or a folder, so that nobody sweeps it; whoever else wants to hold it waits.

    Where the file system has no locks for it nothing is held: what cannot be locked is not swept either.

    Args:
        path: Of the file or folder.
        make: Make an empty file where there is none.
        wait: For another one that holds it.

    Raises:
        BlockingIOError: when another one holds it, and is not waited for.
    """
    handle = opened_to_lock(path, os.O_CREAT if make else 0)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        yield
    finally:
        os.close(handle)


def opened_to_lock(path: Path, flags: int = 0) -> int:
    """Opened for writing, so that NFS locks it too, or for reading where it is a folder or another user's."""
    try:
        return os.open(path, os.O_RDWR | flags, 0o666)
    except IsADirectoryError:
        return os.open(path, os.O_RDONLY | flags)
    except PermissionError as error:
        try:
            return os.open(path, os.O_RDONLY | flags & ~os.O_CREAT)
        except FileNotFoundError:  # what may not be made is not there
            raise error from None


def sweep(folder: Path) -> None:
    """Remove what dead processes left in ``folder`` under names of :func:`temporary_beside`."""
    _sweep(folder, _BESIDE)


def sweep_scratch() -> None:
    """Remove the folders for temporary files of processes that were killed, see :func:`own_scratch`."""
    _sweep(shared_temporary_folder(), _SCRATCH)


def _sweep(folder: Path, ours: re.Pattern[str]) -> None:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if ours.fullmatch(entry.name):
                _remove_if_dead(Path(entry.path))


def _remove_if_dead(path: Path) -> None:
    try:
        handle = opened_to_lock(path, os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _UNTOUCHABLE:
            return
        raise
    try:
        status = os.fstat(handle)
        if status.st_uid != os.getuid() or _is_young(handle, status):
            return
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        if error.errno not in _UNTOUCHABLE:
            raise
    finally:
        os.close(handle)


def _is_young(handle: int, status: os.stat_result) -> bool:
    """Whether its maker may live although nobody sees a lock on it."""
    now = time.time_ns()
    if now - status.st_mtime_ns < _YOUNG_NS:
        return True
    if not stat.S_ISDIR(status.st_mode) or _file_system(handle) not in _ON_A_NETWORK:
        return False
    # One that was put aside to be exchanged has the time of its making.
    return now - max(status.st_mtime_ns, status.st_ctime_ns) < _DAY_NS


def _file_system(handle: int) -> int:
    """The number of the file system's kind, as Linux has them; 0 where it does not tell."""
    known = ctypes.create_string_buffer(512)
    fstatfs = getattr(ctypes.CDLL(None), "fstatfs", None)
    if fstatfs is None or fstatfs(handle, known) != 0:
        return 0
    return ctypes.c_long.from_buffer(known).value & 0xFFFFFFFF


def shared_temporary_folder() -> Path:
    """Where temporary files of all processes go; within :func:`own_scratch` too."""
    here = Path(tempfile.gettempdir())
    return here.parent if _SCRATCH.fullmatch(here.name) else here


@contextmanager
def own_scratch() -> Iterator[None]:
    """One folder for all temporary files of this process and its children; it goes with the process.

    Folders of processes that were killed are removed on the way.
    """
    sweep_scratch()
    shared = shared_temporary_folder()
    folder = shared / f"edgewright-{''.join(secrets.choice(_LETTERS) for _ in range(12))}"
    folder.mkdir(mode=0o700)
    # What torch.compile has made is to be found by the next run, where it would lie without us.
    compiled = os.environ.get(_COMPILED, str(shared / f"torchinductor_{os.getuid()}"))
    before = tempfile.tempdir
    try:
        with holding(folder), _environment({"TMPDIR": str(folder), _COMPILED: compiled}):
            tempfile.tempdir = str(folder)
            yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
