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

__all__ = ["HERE", "Jobs", "placed"]

HERE = "@/"
"""Begins a text of a request that names a file in the job's folder."""


class Jobs:
    """The folders of one agent below ``root``."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        self._own = root / uuid.uuid4().hex
        self._lock = self._own.with_suffix(".lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._own.mkdir()

    def lay(self, files: Mapping[str, Path]) -> Path:
        """A new folder with links to files, by the names they have in it."""
        folder = self._own / uuid.uuid4().hex
        folder.mkdir(parents=True)  # somebody may have cleaned since
        for name, path in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, folder / name)
            except OSError:  # a file system without hard links
                (folder / name).symlink_to(path)
        return folder

    def end(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self._own, ignore_errors=True)
        Path(self._lock.name).unlink(missing_ok=True)
        self._lock.close()


def placed(value: Any, folder: Path) -> Any:  # noqa: ANN401 - JSON
    """A request with the job's folder in the place of :data:`HERE`."""
    if isinstance(value, dict):
        return {name: placed(one, folder) for name, one in value.items()}
    if isinstance(value, list):
        return [placed(one, folder) for one in value]
    if isinstance(value, str) and value.startswith(HERE):
        return str(folder / value[len(HERE) :])
    return value


def _sweep(root: Path) -> None:
    """Remove the folders of agents that are gone."""
    for path in root.glob("*.lock"):
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its agent lives
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
            path.unlink(missing_ok=True)
