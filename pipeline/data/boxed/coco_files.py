"""Where a folder with COCO's JSON keeps its files: which file is for which part, and where its images lie."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.data.boxed.annotated import PARTS, part_in
from pipeline.data.boxed.places import below, is_file, spellings
from pipeline.data.scan import folders
from pipeline.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["coco_files", "folder_with", "image_folders", "place_of"]

_MAX_BYTES = 4 << 30
_BOXES = "instances_"
"""How COCO calls its files of boxes; it has others beside them, of key points and captions."""
_LISTS = (b'"images"', b'"annotations"')
_CATEGORIES = b'"categories"'
_BOX = b'"bbox"'
_CATEGORY = b'"category_id"'
_NONE = re.compile(rb'"annotations"\s*:\s*\[\s*\]')
"""A part may have no annotation."""
_FEW = 16
"""Of so many JSON files and more in a folder of images each is about one of these: none is a part's."""


def coco_files(root: Path) -> dict[str, Path]:
    """Part name to its file of annotations; empty where the folder holds none.

    Raises:
        DataError: when two files are for one part.
    """
    found: dict[str, Path] = {}
    for part, files in _candidates(root).items():
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


def _candidates(root: Path) -> dict[str, list[Path]]:
    """Part name to the files that may be the one for it.

    A file without boxes counts for a part that has no other, to be told, since the part would be drawn from the others
    without it; where no file has boxes, if it is where annotations of objects usually are.
    """
    usual = _documents((*root.glob("*.json"), *root.glob("annotations/*.json"), *root.glob("*/*.coco.json")))
    found = usual if any(usual.values()) else _documents(_of_any_name(root))
    if not any(found.values()):
        found = {file: boxes for file, boxes in usual.items() if file.parent.name == "annotations"}
    with_boxes = _of_parts((file for file, boxes in found.items() if boxes), root)
    without = _of_parts((file for file, boxes in found.items() if not boxes), root)
    if with_boxes:
        without.pop("all", None)
    return with_boxes if "all" in with_boxes else without | with_boxes


def _of_parts(files: Iterable[Path], root: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        found[_part_of(file, root)].append(file)
    return found


def _documents(files: Iterable[Path]) -> dict[Path, bool]:
    """Those that look like COCO's, and whether they hold boxes."""
    return {file: boxes for file in sorted(files) if (boxes := _boxes_in(file)) is not None}


def _of_any_name(root: Path) -> Iterator[Path]:
    """The JSON files of folders with few of them, as ``train/annotations.json``."""
    for folder in folders(root):
        found = list((root / folder).glob("*.json"))
        if len(found) < _FEW:
            yield from found


def _boxes_in(file: Path) -> bool | None:
    """Whether a file has the lists, and boxes or nothing in that of annotations; None for another file.

    A folder may hold other JSON. One with boxes and without categories is no other, though it cannot be read: it is for
    nothing else. Annotations without boxes may be outlines, or classes alone.
    """
    try:
        content = file.read_bytes() if is_file(file) and file.stat().st_size <= _MAX_BYTES else b""
    except OSError as error:
        raise DataError(
            "this file cannot be read", where=str(file), got=error.strerror, fix="see that it is there and may be read"
        ) from error
    if not all(key in content for key in _LISTS):
        return None
    if _BOX in content or (_CATEGORIES in content and _NONE.search(content) is not None):
        return True
    return False if _CATEGORIES in content and _CATEGORY in content else None


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
    beside = [*others, *(root / "images").glob("*/")]
    named_alike = sorted(one for one in beside if part_in(one.name) == part)  # train2017 beside train.json
    return [place for place in dict.fromkeys((*places, *named_alike, root, *only)) if place.is_dir()]


def folder_with(names: Sequence[str], root: Path) -> Path | None:
    """The only folder of a data set in which the first and the last of a part's images lie; None: there is not one.

    Args:
        names: Of the images, as its file of annotations has them.
        root: The data set's folder.
    """
    found = []
    for folder, inner, _ in os.walk(root):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        ends = (place_of(name, [Path(folder)], root) for name in (names[0], names[-1]))
        if all(one is not None and is_file(one) for one in ends):
            found.append(Path(folder))
    return found[0] if len(found) == 1 else None


def place_of(name: str, folders: Sequence[Path], root: Path) -> Path | None:
    """The image of a name in the first folder that has it, else where it should lie; None outside of the data."""
    named = [folder / one for one in spellings(name) for folder in folders]
    places = [place for one in named if (place := below(root, one)) is not None]
    return next((place for place in places if is_file(place)), places[0] if places else None)
