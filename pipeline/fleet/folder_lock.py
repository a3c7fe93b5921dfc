"""One fleet at a time writes into a folder: its page and its cells' results would be taken for the other's."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.leftovers import holding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["folder_of_ones_own"]

_LOCK = "fleet.lock"


@contextmanager
def folder_of_ones_own(folder: Path) -> Iterator[None]:
    """Make a folder and hold it while the block lasts; the kernel frees it when its holder dies.

    On a file system without locks nothing is held.

    Raises:
        UsageError: when another one holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            held.enter_context(holding(folder / _LOCK, make=True, wait=False))
        except BlockingIOError as error:
            fix = "wait for its end, or name another folder by --out"
            raise UsageError("another fleet writes here", where=str(folder), fix=fix) from error
        yield
