"""Where a folder with COCO's JSON keeps its files: which file is for which part, and where its images lie."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from pipeline.data.boxed.annotated import PARTS, part_in
from pipeline.data.boxed.places import below, is_file, spellings
from pipeline.data.scan import folders
from pipeline.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["coco_files", "image_folders", "place_of"]

_MAX_BYTES = 4 << 30
_BOXES = "instances_"
"""How COCO calls its files of boxes; it has others beside them, of key points and captions."""
_LISTS = (b'"images"', b'"annotations"')
_CATEGORIES = b'"categories"'
_BOX = b'"bbox"'
_NONE = re.compile(rb'"annotations"\s*:\s*\[\s*\]')
"""Annotations may also be of classes alone; a part may have none."""
_FEW = 16
"""Of so many JSON files and more in a folder of images each is about one of these: none is a part's."""


def coco_files(root: Path) -> dict[str, Path]:
    """Part name to its file of annotations; empty where the folder holds none.

    Raises:
        DataError: when two files are for one part.
    """
    candidates: dict[str, list[Path]] = defaultdict(list)
    usual = (*root.glob("*.json"), *root.glob("annotations/*.json"), *root.glob("*/*.coco.json"))
    for file in _documents(usual) or _documents(_of_any_name(root)):
        candidates[_part_of(file, root)].append(file)
    found: dict[str, Path] = {}
    for part, files in candidates.items():
        first, *others = [file for file in files if file.name.startswith(_BOXES)] or files
        if others:
            raise DataError(
                f"two files of annotations are for {part}", where=str(root), got=f"{first.name} and {others[0].name}",
                fix="keep one of them",
            )  # fmt: skip
        found[part] = first
    if "all" in found and len(found) > 1:
        raise DataError(
            "this file of annotations does not say which part it is for",
            where=str(found["all"]),
            expected="a name with train, val or test in it, beside the others",
        )
    return found


def _documents(files: Iterable[Path]) -> list[Path]:
    return [file for file in sorted(files) if _looks_like_coco(file)]


def _of_any_name(root: Path) -> Iterator[Path]:
    """The JSON files of folders with few of them, as ``train/annotations.json``."""
    for folder in folders(root):
        found = list((root / folder).glob("*.json"))
        if len(found) < _FEW:
            yield from found


def _looks_like_coco(file: Path) -> bool:
    """Whether it has the lists, and boxes or nothing in that of annotations; a folder may hold other JSON.

    One with boxes and without categories is one, too, that cannot be read: it is for nothing else.
    """
    try:
        content = file.read_bytes() if is_file(file) and file.stat().st_size <= _MAX_BYTES else b""
    except OSError as error:
        raise DataError(
            "this file cannot be read", where=str(file), got=error.strerror, fix="see that it is there and may be read"
        ) from error
    of_nothing = _CATEGORIES in content and _NONE.search(content) is not None
    return all(key in content for key in _LISTS) and (_BOX in content or of_nothing)


def _part_of(file: Path, root: Path) -> str:
    of_folder = file.parent != root and file.parent.name != "annotations"
    return part_in(file.stem) or (of_folder and part_in(file.parent.name)) or "all"


def image_folders(file: Path, part: str, root: Path) -> list[Path]:
    """Where a part's images may lie, the likeliest first.

    Args:
        file: Of the part's annotations.
        part: Its name.
        root: The data set's folder.
    """
    stem = file.stem.removeprefix(_BOXES)
    names = [stem, *(name for name, of in PARTS.items() if of == part)]
    of_parts = [file.parent] if file.parent.name != "annotations" else []
    of_parts += [root / name for name in names]
    places = [
        *(place for folder in of_parts for place in (folder, folder / "images")),
        *(root / "images" / name for name in names),
        root / "images",
    ]
    others = [one for one in root.iterdir() if one.is_dir() and one.name[0] != "." and one.name != "annotations"]
    only = others if len(others) == 1 else []
    return [place for place in dict.fromkeys((*places, root, *only)) if place.is_dir()]


def place_of(name: str, folders: Sequence[Path], root: Path) -> Path | None:
    """The image of a name in the first folder that has it, else where it should lie; None outside of the data."""
    named = [folder / one for one in spellings(name) for folder in folders]
    places = [place for one in named if (place := below(root, one)) is not None]
    return next((place for place in places if is_file(place)), places[0] if places else None)
