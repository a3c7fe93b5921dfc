"""Which processes use a store, and so what of it must stay: whoever tidies up asks here first.

A process that uses a store holds a lock on a file of its own in ``<root>/users``, which the kernel frees at its death;
the file is as old as its use. What it reads of the store it marks as used now. So whatever was used since the oldest
living use began may be in somebody's hands, and everything else is in nobody's.

Use is announced and marked while a gate is held together with others, and things are removed while it is held alone:
between looking and removing nothing changes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import uuid
import weakref
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.leftovers import NO_LOCKS, opened_to_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["StoreUse", "earliest_user", "gate"]

_READ_ONLY = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""Of a store that this process may read and not write: nothing can be announced there."""


class StoreUse:
    """The use of a store by this process; it ends with this object, or with the process however that dies."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._begun = False

    def begin(self) -> None:
        """Announce the use, once."""
        with gate(self._root, alone=False):
            self._begin()

    def of(self, path: Path) -> None:
        """Mark a file of the store as used now; nothing where it is gone or the store cannot be written."""
        try:
            with gate(self._root, alone=False):
                self._begin()
                os.utime(path)
        except FileNotFoundError:
            return
        except NotADirectoryError:  # damaged: whoever reads it will say so
            return
        except OSError as error:
            if error.errno not in _READ_ONLY:
                raise

    def _begin(self) -> None:
        if self._begun:
            return
        path = self._root / "users" / f"{uuid.uuid4().hex}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        fcntl.flock(handle, fcntl.LOCK_EX)
        self._begun = True
        weakref.finalize(self, _end, handle, path, os.getpid())


def _end(handle: int, path: Path, process: int) -> None:
    if os.getpid() == process:  # a child that was forked has only borrowed it
        path.unlink(missing_ok=True)
        os.close(handle)


def earliest_user(root: Path) -> int | None:
    """When the oldest use that still lasts began, in ns since the epoch; None when nobody uses the store.

    To be asked while :func:`gate` is held alone. What dead processes announced is removed. Of another user's of whom
    nobody can tell it counts as living.
    """
    uses = [_began(path) for path in (root / "users").glob("*.lock")]
    return min((began for began in uses if began is not None), default=None)


def _began(path: Path) -> int | None:
    """When the use that was announced so began; None when it is over."""
    try:
        began = path.stat().st_mtime_ns
    except FileNotFoundError:
        return None  # it ended just now
    try:
        handle = opened_to_lock(path)
    except FileNotFoundError:
        return None
    except PermissionError:
        return began
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in NO_LOCKS | {errno.EWOULDBLOCK}:
            raise
        return began
    else:
        with suppress(PermissionError):
            path.unlink(missing_ok=True)
        return None
    finally:
        os.close(handle)


@contextmanager
def gate(root: Path, *, alone: bool) -> Iterator[None]:
    """Hold what stands between using and removing: together with other users, or alone to remove."""
    root.mkdir(parents=True, exist_ok=True)
    handle = opened_to_lock(root / "gate.lock", os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)
