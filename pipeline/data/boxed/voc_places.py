"""Where a folder with Pascal VOC's XML keeps its files: which of them are for which part, and where its images lie."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.data.boxed.annotated import PARTS, part_in
from pipeline.data.boxed.by_name import ByName, name_below
from pipeline.data.boxed.places import below
from pipeline.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline.data.boxed.annotated import Problems

__all__ = ["VocPlace", "files_of_parts", "voc_places"]

_ANNOTATIONS = ("Annotations", "annotations")
_IMAGES = ("JPEGImages", "images", "Images")
_ROOT = re.compile(rb"<annotation[\s>]")
_LOOKED_AT = 4096
"""Bytes of a file that say whether it is an annotation."""


@dataclass(frozen=True, slots=True)
class VocPlace:
    """Where a set, or a part of one, lies.

    Attributes:
        part: Which part; None for the whole set.
        base: The folder that holds all of it.
        folder: Of the XML files.
        files: These.
        images: Folder of the images.
        lists: Part to the list of its images; empty where there is none.
    """

    part: str | None
    base: Path
    folder: Path
    files: tuple[Path, ...]
    images: Path
    lists: Mapping[str, Path]


def voc_places(root: Path) -> tuple[VocPlace, ...]:
    """Where a folder holds such files; empty for one that holds none.

    Raises:
        DataError: when there are several sets in it.
    """
    whole = [root, *sorted(root.glob("VOC20*")), *sorted(root.glob("VOCdevkit/VOC20*"))]
    found = [place for base in whole if (place := _place(base, None)) is not None]
    if len(found) > 1:
        raise DataError(
            "there are several sets in this folder",
            where=str(root),
            got=" and ".join(place.base.relative_to(root).as_posix() for place in found[:2]),
            fix="name one of them",
        )
    parts = (place for name, part in PARTS.items() if (place := _place(root / name, part)) is not None)
    return tuple(found or parts)


def _place(base: Path, part: str | None) -> VocPlace | None:
    for name in (*_ANNOTATIONS, "."):
        files = _xml_files(base / name, "*.xml" if name == "." else "**/*.xml")  # below the base lie other parts
        if _are_annotations(files):
            images = next((base / name for name in _IMAGES if (base / name).is_dir()), base)
            return VocPlace(part, base, base / name, files, images, _lists(base) if part is None else {})
    return None


def _are_annotations(files: Sequence[Path]) -> bool:
    """Whether the first of XML files begins as an annotation; a folder may hold other XML."""
    first = next((file for file in files if file.is_file()), None)
    if first is None:
        return False
    with first.open("rb") as opened:
        return _ROOT.search(opened.read(_LOOKED_AT)) is not None


def _xml_files(folder: Path, pattern: str) -> tuple[Path, ...]:
    """Sorted; hidden ones, and those in hidden folders, do not count."""
    files = folder.glob(pattern)
    return tuple(sorted(one for one in files if not any(name[0] == "." for name in one.relative_to(folder).parts)))


def _lists(base: Path) -> dict[str, Path]:
    """Part to the list of its images; ``trainval`` stands for ``train`` where there is no list of that."""
    folder = base / "ImageSets" / "Main"
    found = {part: folder / f"{name}.txt" for name, part in PARTS.items() if (folder / f"{name}.txt").is_file()}
    if "train" not in found and (folder / "trainval.txt").is_file():
        found["train"] = folder / "trainval.txt"
    return found


def files_of_parts(place: VocPlace, root: Path, problems: Problems) -> Iterator[tuple[str, Path, str]]:
    """Part, file, and who names it: a line of a list, where there are lists, else the file itself.

    Args:
        place: As of :func:`voc_places`.
        root: The data set's folder.
        problems: Told of lines that name no file, or several; a file that is named need not be there.

    Raises:
        DataError: where some folders within are for a part, and others are for none.
    """
    if not place.lists:
        yield from ((part, file, file.relative_to(root).as_posix()) for part, file in _by_folder(place))
    called = ByName(place.folder, place.files)
    for part, listed in place.lists.items():
        for number, line in enumerate(listed.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
            if not line.strip():
                continue
            where, name = f"{listed.relative_to(root).as_posix()}, line {number}", line.split()[0]
            file = below(place.folder, place.folder / f"{name}.xml")
            found = [] if file is None else called.called(name_below(place.folder, file)) or [file]
            if len(found) == 1:
                yield part, found[0], where
            elif found:
                first, other = (one.relative_to(root).as_posix() for one in found[:2])
                problems.add(where, f"{name!r} may be {first} or {other}")
            else:
                problems.add(where, f"{name!r} is no name of a file")


def _by_folder(place: VocPlace) -> Iterator[tuple[str, Path]]:
    """Part and file; the part is the place's, or that of folders within, as ``Annotations/train``."""
    folders = {file: file.relative_to(place.folder).parent.parts[:1] for file in place.files}
    parts = {folder: part_in("".join(folder)) for folder in folders.values()}
    if place.part is not None or not any(parts.values()):
        parts = dict.fromkeys(parts, place.part or "all")
    for file, folder in folders.items():
        if (part := parts[folder]) is None:
            raise DataError(
                "this file of annotations does not say which part it is for",
                where=str(file),
                expected="a folder with train, val or test in its name, as others have, or ImageSets/Main/train.txt",
            )
        yield part, file
