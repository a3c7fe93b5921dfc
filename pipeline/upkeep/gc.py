"""Making room in a store, never of what a living run uses.

What goes can be made anew from what is at hand: results, decisions, measurements, unfinished work, and damaged bytes
that were set aside. Data sets and weights came from elsewhere and stay, as does where the images of bundles lie.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.leftovers import opened_to_lock
from pipeline.store import Store
from pipeline.store_use import earliest_user, gate
from pipeline.upkeep.contents import Item, contents, last_used_ns, notes_by_artifact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Freed", "collect"]

_DAY_NS = 86_400 * 10**9
_CAME_FROM_ELSEWHERE = frozenset({"data", "weights", "place"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Freed:
    """What went, and what would have gone if no run used it."""

    removed: tuple[Item, ...]
    in_use: tuple[Item, ...]

    @property
    def size_bytes(self) -> int:
        """Of what went."""
        return sum(item.size_bytes for item in self.removed)


def collect(root: Path, *, older_than_days: float | None, keep_bytes: int | None, dry_run: bool) -> Freed:
    """Remove what was not used for long, then what was used longest ago until no more than so much is left.

    Args:
        root: Of the store.
        older_than_days: What was last used longer ago goes; None: nothing for its age.
        keep_bytes: So much may stay, of what can be made anew; None: all of it.
        dry_run: Only say what would go.
    """
    items = sorted(
        (item for item in contents(root) if item.kind not in _CAME_FROM_ELSEWHERE), key=lambda item: item.used_ns
    )
    chosen = _chosen(items, older_than_days, keep_bytes)
    if not chosen:
        return Freed(removed=(), in_use=())
    if dry_run:
        with gate(root, alone=True):
            since = earliest_user(root)
            free = [item for item in chosen if not _in_use(root, item, since)]
        return Freed(removed=tuple(free), in_use=tuple(item for item in chosen if item not in free))
    removed: list[Item] = []
    in_use: list[Item] = []
    with Store(root).workspace() as bin_:
        for number, item in enumerate(chosen):
            (removed if _moved(root, item, bin_ / str(number)) else in_use).append(item)
    gone = {item.path.name for item in removed if item.path.parent.name == "artifacts"}
    for sha256, notes in notes_by_artifact(root).items():
        if sha256 in gone and not (root / "artifacts" / sha256).exists():
            for path, _ in notes:
                path.unlink(missing_ok=True)  # without its artifact a key says nothing
    return Freed(removed=tuple(removed), in_use=tuple(in_use))


def _chosen(items: list[Item], older_than_days: float | None, keep_bytes: int | None) -> list[Item]:
    oldest_ns = 0 if older_than_days is None else time.time_ns() - int(older_than_days * _DAY_NS)
    left_bytes = sum(item.size_bytes for item in items)
    chosen = []
    for item in items:
        if item.used_ns < oldest_ns or (keep_bytes is not None and left_bytes > keep_bytes):
            chosen.append(item)
            left_bytes -= item.size_bytes
    return chosen


def _moved(root: Path, item: Item, target: Path) -> bool:
    """Whether it was taken away: at once, and only if nobody uses it."""
    with gate(root, alone=True):
        try:
            if _in_use(root, item, earliest_user(root)):
                return False
            if item.kind == "unfinished":
                with _lock(root, item.path.name) as free:
                    if free:
                        item.path.rename(target)
                    return free
            item.path.rename(target)
        except FileNotFoundError:
            return True  # somebody else took it away
    return True


def _in_use(root: Path, item: Item, since_ns: int | None) -> bool:
    """Whether a living run may hold it, or has used it since it was chosen."""
    try:
        used_ns = last_used_ns(item.path)
    except FileNotFoundError:
        return False  # somebody else took it away
    if used_ns > item.used_ns or (since_ns is not None and used_ns >= since_ns):
        return True
    if item.kind != "unfinished":
        return False
    with _lock(root, item.path.name) as free:
        return not free


@contextmanager
def _lock(root: Path, key: str) -> Iterator[bool]:
    """Hold a key's lock if nobody has it; says whether it is held."""
    path = root / "locks" / f"{key}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = opened_to_lock(path, os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)
