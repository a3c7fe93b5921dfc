"""Folders with Pascal VOC's XML: for every image a file of its name.

Files lie in ``Annotations``, images in ``JPEGImages`` or ``images`` beside it, both also in folders within, of the
whole set or of one part (``train/Annotations``), or both beside each other; ``ImageSets/Main/<part>.txt`` names the
parts, else folders in ``Annotations`` do. The set may lie within ``VOCdevkit`` or a folder ``VOC2012``. Source: the
VOC2012 development kit, http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.data.boxed.annotated import AnnotatedImage, Annotations, StatedBox
from pipeline.data.boxed.by_name import ByName, name_below
from pipeline.data.boxed.places import is_file
from pipeline.data.boxed.voc_file import NotVocError, read_voc_file
from pipeline.data.boxed.voc_places import files_of_parts
from pipeline.data.scan import images_below, links_within, read_lines
from pipeline.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.data.boxed.annotated import Problems
    from pipeline.data.boxed.voc_file import VocAnnotation, VocObject
    from pipeline.data.boxed.voc_places import VocPlace

__all__ = ["read_voc"]


def read_voc(places: Sequence[VocPlace], root: Path, problems: Problems) -> Annotations:
    """The classes and the images of each part.

    Coordinates count pixels from 1, the last one included, as VOC defines them; where a box of the set begins at 0, as
    some tools write them, all of them are taken to count from 0.

    Args:
        places: As of :func:`pipeline.data.boxed.voc_places.voc_places`.
        root: The data set's folder.
        problems: What is wrong goes there.

    Raises:
        DataError: for hostile XML, where there is no object, and for a folder of no part beside such of parts.
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
    """What the files of a place say; images about which there is none, where no list says which are used, are told."""
    links: list[Path] = []
    images = images_below(place.images, links)
    if not_followed := links_within(root, links):
        problems.notes.append(not_followed)
    called, without, passed_over, used = ByName(place.images, images), set(images), set[Path](), set[Path]()
    for part, file, named_by in files_of_parts(place, root, problems):
        where = file.relative_to(root).as_posix()
        if not is_file(file):
            problems.add(named_by, f"there is no {where}")
            continue
        own = called.called(name_below(place.folder, file))
        without.difference_update(own)
        try:
            annotation = read_voc_file(file)
        except NotVocError as error:
            problems.add(where, str(error))
            continue
        found = _images_of(own, annotation.filename, called)
        if len(found) > 1:
            first, other = (one.relative_to(root).as_posix() for one in found[:2])
            problems.add(where, f"may be about {first} or {other}")
            continue
        used.update(found)
        passed_over.update(own)
        missing = place.images / (annotation.filename or f"{file.stem}.jpg")
        yield _Annotated(part, found[0] if found else missing, where, annotation)
    for path in sorted(without - used) if not place.lists else ():
        problems.add(path.relative_to(root).as_posix(), "there is no XML file about it")
    if passed_over := passed_over - used:
        many = f"{len(passed_over)} images are" if len(passed_over) > 1 else "an image is"
        first = min(passed_over).relative_to(root).as_posix()
        problems.notes.append(f"{many} not used, since the XML file of that name is about another (first: {first})")


def _images_of(own: list[Path], filename: str, called: ByName) -> list[Path]:
    """The image of a file's own name; of several, and where there is none, those that it names.

    Args:
        own: Images of that name.
        filename: Of the image, as the file says it.
        called: All images.
    """
    if len(own) == 1:
        return own
    return [path for path in own or called.called(Path(filename).stem) if path.name == filename] or own


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
