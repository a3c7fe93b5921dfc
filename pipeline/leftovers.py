"""Temporary files and folders that say whether whoever writes them still lives, and removing those of the dead.

Whoever makes one holds a lock on it (``flock``), which the kernel frees at its death, however that came. What is
locked, or so young that its maker may not have come to lock it, is left alone.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import tempfile
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["holding", "own_scratch", "shared_temporary_folder", "sweep", "temporary_beside"]

_OURS = re.compile(r"\..+\.[0-9a-f]{8}\.(?:tmp|old)\Z|edgewright-run-[a-z0-9_]{8}\Z")
_COMPILED = "TORCHINDUCTOR_CACHE_DIR"
_YOUNG_NS = 2_000_000_000
_UNTOUCHABLE = frozenset({errno.EACCES, errno.EPERM, errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.EWOULDBLOCK})


def temporary_beside(path: Path) -> Path:
    """A new name beside ``path`` that :func:`sweep` knows; nothing is made."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Hold what was just made at ``path``, a file or a folder, so that nobody sweeps it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Remove what dead processes left in ``folder`` under names of :func:`temporary_beside` and :func:`own_scratch`."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _OURS.match(entry.name):
                _remove_if_dead(Path(entry.path))


def _remove_if_dead(path: Path) -> None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _UNTOUCHABLE:
            return
        raise
    try:
        status = os.fstat(handle)
        if status.st_uid != os.getuid() or time.time_ns() - status.st_mtime_ns < _YOUNG_NS:
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


def shared_temporary_folder() -> Path:
    """Where temporary files of all processes go; within :func:`own_scratch` too."""
    here = Path(tempfile.gettempdir())
    return here.parent if _OURS.match(here.name) else here


@contextmanager
def own_scratch() -> Iterator[None]:
    """One folder for all temporary files of this process and its children; it goes with the process.

    Folders of processes that were killed are removed on the way.
    """
    shared = shared_temporary_folder()
    sweep(shared)
    folder = Path(tempfile.mkdtemp(prefix="edgewright-run-", dir=shared))
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
