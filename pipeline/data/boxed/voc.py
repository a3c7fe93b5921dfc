"""Folders with Pascal VOC's XML: for every image a file of its name.

Files lie in ``Annotations``, images in ``JPEGImages`` or ``images`` beside it, of the whole set or of one part
(``train/Annotations``), or both beside each other; ``ImageSets/Main/<part>.txt`` names the parts. The set may lie
within ``VOCdevkit`` or a folder ``VOC2012``. Source: the VOC2012 development kit,
http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf, section 4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.data.boxed.annotated import PARTS, AnnotatedImage, Annotations, StatedBox
from pipeline.data.boxed.places import is_file
from pipeline.data.boxed.voc_file import NotVocError, read_voc_file
from pipeline.data.scan import images_below, links_within, read_lines
from pipeline.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.data.boxed.annotated import Problems
    from pipeline.data.boxed.voc_file import VocAnnotation, VocObject

__all__ = ["VocPlace", "read_voc", "voc_places"]

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
        base: The folder that holds both.
        files: Folder of the XML files.
        images: Folder of the images.
    """

    part: str | None
    base: Path
    files: Path
    images: Path


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
    files = next((base / name for name in (*_ANNOTATIONS, ".") if _holds_annotations(base / name)), None)
    if files is None:
        return None
    images = next((base / name for name in _IMAGES if (base / name).is_dir()), base)
    return VocPlace(part, base, files, images)


def _holds_annotations(folder: Path) -> bool:
    """Whether the first XML file there begins as an annotation; a folder may hold other XML."""
    first = next((file for file in _xml_files(folder) if file.is_file()), None)
    if first is None:
        return False
    with first.open("rb") as opened:
        return _ROOT.search(opened.read(_LOOKED_AT)) is not None


def _xml_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.xml") if not file.name.startswith("."))


def read_voc(places: Sequence[VocPlace], root: Path, problems: Problems) -> Annotations:
    """The classes and the images of each part.

    Coordinates count pixels from 1, the last one included, as VOC defines them; where a box of the set begins at 0, as
    some tools write them, all of them are taken to count from 0.

    Args:
        places: As of :func:`voc_places`.
        root: The data set's folder.
        problems: What is wrong goes there.

    Raises:
        DataError: for hostile XML, and where there is no object.
    """
    read = [one for place in places for one in _annotated(place, root, problems)]
    objects = [said for one in read for said in one.annotation.objects]
    classes = _classes(root, places, {one.name for one in objects if one.name})
    first = 0 if any(0 <= value < 1 for one in objects for value in one.corners[:2]) else 1
    labels = {name: label for label, name in enumerate(classes)}
    parts: dict[str, list[AnnotatedImage]] = {}
    for one in read:
        boxes = tuple(_box(said, one.where, labels, first) for said in one.annotation.objects)
        parts.setdefault(one.part, []).append(AnnotatedImage(one.image, boxes, one.where, one.annotation.size))
    return Annotations(root, classes, parts, problems)


@dataclass(frozen=True, slots=True)
class _Annotated:
    """An image and the file that is about it, which ``where`` names."""

    part: str
    image: Path
    where: str
    annotation: VocAnnotation


def _annotated(place: VocPlace, root: Path, problems: Problems) -> Iterator[_Annotated]:
    """What the files of a place say: those that lists of a part name, where there are such, else all of them."""
    images: dict[str, list[Path]] = {}
    links: list[Path] = []
    for path in images_below(place.images, links):
        images.setdefault(path.stem, []).append(path)
    if not_followed := links_within(root, links):
        problems.notes.append(not_followed)
    lists = _lists(place)
    for part, file, named_by in _files(place, lists, root, problems):
        where = file.relative_to(root).as_posix()
        if not is_file(file):
            problems.add(named_by or where, f"there is no {where}")
            continue
        try:
            annotation = read_voc_file(file)
        except NotVocError as error:
            problems.add(where, str(error))
            continue
        yield _Annotated(part, _image_of(file, annotation.filename, images, place.images), where, annotation)
    if not lists:
        for stem in sorted(images.keys() - {file.stem for file in _xml_files(place.files)}):
            problems.add(images[stem][0].relative_to(root).as_posix(), "there is no XML file of its name")


def _files(
    place: VocPlace, lists: Mapping[str, Path], root: Path, problems: Problems
) -> Iterator[tuple[str, Path, str | None]]:
    """Part, file, and which line of a list names it."""
    if not lists:
        yield from ((place.part or "all", file, None) for file in _xml_files(place.files))
    for part, listed in lists.items():
        for number, line in enumerate(listed.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
            if not line.strip():
                continue
            where, stem = f"{listed.relative_to(root).as_posix()}, line {number}", line.split()[0]
            if Path(stem).name != stem or stem in {".", ".."}:
                problems.add(where, f"{stem!r} is no name of a file")
                continue
            yield part, place.files / f"{stem}.xml", where


def _lists(place: VocPlace) -> dict[str, Path]:
    """Part to the list of its images; ``trainval`` stands for ``train`` where there is no list of that."""
    folder = place.base / "ImageSets" / "Main"
    found = {part: folder / f"{name}.txt" for name, part in PARTS.items() if (folder / f"{name}.txt").is_file()}
    if "train" not in found and (folder / "trainval.txt").is_file():
        found["train"] = folder / "trainval.txt"
    return found if place.part is None else {}


def _image_of(file: Path, filename: str, images: Mapping[str, Sequence[Path]], folder: Path) -> Path:
    """The image of the file's own name; of several, and where there is none, the one that it names."""
    own = images.get(file.stem, ())
    named = [path for path in (*own, *images.get(Path(filename).stem, ())) if path.name == filename]
    return next(iter((*(named if len(own) != 1 else ()), *own)), folder / (filename or f"{file.stem}.jpg"))


def _classes(root: Path, places: Sequence[VocPlace], names: set[str]) -> tuple[str, ...]:
    """As a ``classes.txt`` has them, else by name.

    Raises:
        DataError: when there are none.
    """
    told = [base / "classes.txt" for base in (root, *(place.base for place in places))]
    file = next((one for one in told if one.is_file()), None)
    classes = tuple(sorted(names)) if file is None else tuple(read_lines(file))
    if not classes:
        raise DataError("no file of annotations names an object", where=str(root), expected="<object> with a <name>")
    return classes


def _box(said: VocObject, where: str, labels: Mapping[str, int], first: int) -> StatedBox:
    left, top, right, bottom = said.corners
    shown = ", ".join(f"{value:g}" for value in said.corners)
    return StatedBox(
        label=labels.get(said.name),
        corners=(left - first, top - first, right, bottom),
        where=f"{where}, line {said.line}",
        said=f"[{shown}] of class {said.name!r}",
        difficult=said.difficult,
    )
