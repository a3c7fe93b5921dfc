"""Folders that appear whole or not at all, also when several runs make the same one."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.errors import ResourceError
from pipeline.leftovers import folder_beside, sweep
from pipeline.replacing import exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["publish_folder"]


@contextmanager
def publish_folder(target: Path, *, stays: Callable[[], bool] | None = None) -> Iterator[Path]:
    """Yield an empty folder beside ``target`` that becomes it when the block ends without an error.

    When another process was faster its folder stays and this one is dropped: both hold the same, because the name of
    ``target`` says what it holds.

    Args:
        target: Where it is to be.
        stays: Whether what stands there by then stays; default: it does. Else it is exchanged at once.

    Raises:
        ResourceError: when the disk is full or not writable.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent)
        with folder_beside(target, 0o700) as temporary:
            yield temporary
            temporary.chmod(0o755)
            _rename(temporary, target, stays)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}:
            raise ResourceError(
                "the data set cannot be written",
                where=str(target),
                got=error.strerror,
                fix="free space or choose another cache",
            ) from error
        raise


def _rename(temporary: Path, target: Path, stays: Callable[[], bool] | None) -> None:
    try:
        temporary.rename(target)
    except OSError:
        if not target.is_dir():  # else somebody was faster, or has put a link to a folder there
            raise
        if stays is not None and not stays():
            exchange(temporary, target)  # what stood there goes with the temporary folder
