"""Folders in which workers run, each gone with its agent at the latest by the next one's start."""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HERE", "Jobs", "lives", "placed"]

HERE = "@/"
"""Begins a text of a request that names a file in the job's folder."""
_LOCKS = f"{32 * '[0-9a-f]'}.lock"
"""Names of ours: where the agent's folder is somebody's home, there may be ``jobs`` of theirs in it."""


class Jobs:
    """The folders of one agent below ``root``."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = root
        _sweep(root)
        self._own = root / uuid.uuid4().hex
        self._lock = self._own.with_suffix(".lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._own.mkdir()

    def lay(self, files: Mapping[str, Path]) -> Path:
        """A new folder with links to files, by the names they have in it.

        Raises:
            FileNotFoundError: when one is not there any more; then the folder is not either.
        """
        folder = self._own / uuid.uuid4().hex
        folder.mkdir(parents=True)  # somebody may have cleaned since
        for name, path in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, folder / name)
            except FileNotFoundError:  # another agent needed the room, or somebody has cleaned
                shutil.rmtree(folder)
                raise
            except OSError:  # a file system without hard links
                (folder / name).symlink_to(path)
        return folder

    def expect(self, size: int) -> None:
        """Tell other agents how many bytes are still to come here, for which there has to be room."""
        os.pwrite(self._lock.fileno(), b"%20d\n" % size, 0)  # always as long, so that nothing has to be cut off

    def promised(self) -> int:
        """Bytes that are still to come for other agents."""
        others = (path for path in self._root.glob(_LOCKS) if path != Path(self._lock.name) and _is_held(path))
        return sum(map(_expected, others))

    def others(self) -> bool:
        """Whether another agent lives, which may need what was sent."""
        return lives(self._root, but=Path(self._lock.name))

    def end(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self._own, ignore_errors=True)
        Path(self._lock.name).unlink(missing_ok=True)
        self._lock.close()


def lives(root: Path, *, but: Path | None = None) -> bool:
    """Whether an agent lives that has folders below ``root``, besides the one whose lock is given."""
    return any(path != but and _is_held(path) for path in root.glob(_LOCKS))


def placed(value: Any, folder: Path) -> Any:  # noqa: ANN401 - JSON
    """A request with the job's folder in the place of :data:`HERE`."""
    if isinstance(value, dict):
        return {name: placed(one, folder) for name, one in value.items()}
    if isinstance(value, list):
        return [placed(one, folder) for one in value]
    if isinstance(value, str) and value.startswith(HERE):
        return str(folder / value[len(HERE) :])
    return value


def _expected(lock: Path) -> int:
    """What an agent expects; nothing of one that has just ended, or does not tell."""
    try:
        return int(lock.read_text(encoding="ascii") or 0)
    except (FileNotFoundError, ValueError):
        return 0


def _sweep(root: Path) -> None:
    """Remove the folders of agents that are gone."""
    for path in root.glob(_LOCKS):
        if not _is_held(path):
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
            path.unlink(missing_ok=True)


def _is_held(path: Path) -> bool:
    """Whether the agent lives whose lock this is."""
    try:
        with path.open("r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:  # it has just ended
        return False
    except BlockingIOError:
        return True
    return False
