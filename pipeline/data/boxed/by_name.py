"""Files that are found by their names: of an image the file that is about it, and the other way round."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["ByName", "name_below"]


def name_below(folder: Path, file: Path) -> str:
    """Path of a file as seen from a folder, with slashes and without suffix."""
    return file.relative_to(folder).as_posix().removesuffix(file.suffix)


class ByName:
    """The files of a folder and of those within it.

    Args:
        folder: That they lie in.
        files: All of them.
    """

    def __init__(self, folder: Path, files: Iterable[Path]) -> None:
        self._of_path: dict[str, list[Path]] = {}
        self._of_stem: dict[str, list[Path]] = {}
        for file in files:
            name = name_below(folder, file)
            self._of_path.setdefault(name, []).append(file)
            self._of_stem.setdefault(name.rpartition("/")[2], []).append(file)

    def called(self, name: str) -> list[Path]:
        """Those of the name as of :func:`name_below`; where there is none, those of its last part in any folder."""
        return self._of_path.get(name) or self._of_stem.get(name.rpartition("/")[2], [])
