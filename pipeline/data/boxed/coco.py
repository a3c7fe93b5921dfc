"""Folders with COCO's JSON.

Files of annotations are ``annotations/*.json``, ``<part>/_annotations.coco.json``, or a JSON beside the images' folder;
where there are none of these, a JSON in any folder of the set. A file belongs to the part (train, val, test,
calibration) that its own name or its folder's says; one that says none is split by us. Of several for a part the one
called ``instances_...`` is read. Images are looked for beside the file, in the folder of the part, in ``images/`` of
either, in the data set's folder, and in the only folder there.
Source of the format: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from reprlib import Repr
from typing import TYPE_CHECKING, Any, TypeGuard

from pipeline.data.boxed.annotated import PARTS, AnnotatedImage, Annotations, StatedBox
from pipeline.data.boxed.coco_files import folder_with, image_folders, place_of
from pipeline.data.boxed.places import is_file, is_folder
from pipeline.data.scan import images_below
from pipeline.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from pipeline.data.boxed.annotated import Problems

__all__ = ["read_coco"]

_SIDES = 4
_NO_SIZE = (0, 0)
_CROWD = (0, 1, None)
"""Of JSON's false and true the same; texts are not guessed at, of which "0" would be true."""
_NOTHING_ABOVE = (None, "", "none")
_BACKGROUNDS = frozenset({"background", "__background__", "_background_"})
"""What some tools list in front of the classes, as networks count them; no box is of it."""


def read_coco(files: Mapping[str, Path], root: Path, problems: Problems) -> Annotations:
    """The classes, in the order of their ids, and the images of each part.

    Args:
        files: As of :func:`pipeline.data.boxed.coco_files.coco_files`.
        root: The data set's folder.
        problems: What is wrong goes there.

    Raises:
        DataError: for a file that is no COCO document, and for a part with other categories than
            train, or than the part with the most where there is no train.
    """
    documents = {part: _document(file) for part, file in files.items()}
    categories = {part: _categories(document, files[part]) for part, document in documents.items()}
    whole = "train" if "train" in categories else max(categories, key=lambda part: len(categories[part]))
    for part, found in categories.items():
        _refuse_others(found, categories[whole], where=files[part], than=files[whole].relative_to(root).as_posix())
    names = _without_those_of_no_box(categories[whole], list(documents.values()), problems)
    labels = {number: label for label, number in enumerate(sorted(names))}
    parts = {}
    for part, document in documents.items():
        known = {number: label for number, label in labels.items() if number in categories[part]}
        folders = _folders_of_images(document, files[part], part, root, problems)
        parts[part] = _Part(files[part], folders, root, known, problems).images(document)
    if unused := _not_named(root, {image.path for images in parts.values() for image in images}):
        many = f"{len(unused)} images are" if len(unused) > 1 else "an image is"
        problems.notes.append(
            f"{many} named by no file of annotations, and not used (first: {unused[0].relative_to(root).as_posix()})"
        )
    return Annotations(root, tuple(names[number] for number in sorted(names)), parts, problems)


def _folders_of_images(
    document: Mapping[str, Any], file: Path, part: str, root: Path, problems: Problems
) -> list[Path]:
    """Where a part's images may lie; where none is in the usual places, the only folder that has them, which is told.

    Raises:
        DataError: when no image of the part is anywhere, unless what is wrong is left out.
    """
    folders, said = image_folders(file, part, root), (one for one in document["images"] if isinstance(one, dict))
    names = [name for one in said if isinstance(name := one.get("file_name"), str) and name]
    places = (place_of(name, folders, root) for name in names)
    if not names or any(place is None or is_file(place) for place in places):
        return folders
    told = file.relative_to(root).as_posix()
    other = folder_with(names, root)
    if other is None:
        if problems.drop:  # as where one part alone was downloaded
            return folders
        looked_in = (one.relative_to(root.parent).as_posix() for one in folders)
        raise DataError(
            "no image of this file of annotations is there",
            where=str(file),
            got=f"{_shown(names[0])}, the first, is not in {', '.join(looked_in)}",
            expected="its images in a folder beside it or of the part's name, or under a path that it says",
            fix="move the images there, or give the folder that holds both with --data",
        )
    problems.notes.append(f"the images of {told} are taken from {other.relative_to(root).as_posix()}")
    return [*folders, other]


def _not_named(root: Path, named: AbstractSet[Path]) -> list[Path]:
    """Images beside those that are named, and in folders of parts; none where not all of these can be looked at."""
    inner = (path.relative_to(root).parts for path in named if path != root)
    folders = {root / first if others else root for first, *others in inner} | {root / name for name in PARTS}
    try:
        return sorted({path for folder in folders if is_folder(folder) for path in images_below(folder)} - named)
    except DataError:  # of what the annotations do not name; what they name is looked at by itself
        return []


def _document(file: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            "this is no JSON", where=str(file), got=str(error), fix="export the annotations again"
        ) from error
    for key in ("images", "annotations", "categories"):
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            raise DataError(
                "this is no COCO document",
                where=str(file),
                got=f"no list {key!r}",
                expected="images, annotations and categories",
            )
    return document


def _categories(document: Mapping[str, Any], file: Path) -> dict[int, str]:
    """Id to name."""
    found: dict[int, str] = {}
    for place, one in enumerate(document["categories"], 1):
        where = f"{file}, category {place}"
        number, name = (one.get("id"), one.get("name")) if isinstance(one, dict) else (None, None)
        if not _is_whole(number) or not isinstance(name, str | int):
            raise DataError(
                "a category has no id or no name",
                where=where,
                got=_shown(one),
                expected="an object with a whole number as id, and a name",
            )
        if number in found:
            raise DataError(
                f"two categories have the id {number}",
                where=where,
                got=f"{found[number]!r} and {str(name)!r}",
                fix="give each its own",
            )
        found[number] = str(name)
    if not found:
        raise DataError("there is no category", where=str(file), expected="categories with a name each")
    return found


def _refuse_others(categories: Mapping[int, str], known: Mapping[int, str], *, where: Path, than: str) -> None:
    """A part may leave out categories that it has no box of; one with others, or with other ids, is refused.

    Args:
        categories: Of the part, id to name.
        known: Of the part that has all of them.
        where: The part's file.
        than: The other's, for people.
    """
    for number, name in categories.items():
        if known.get(number) != name:
            other = _shown(known[number]) if number in known else "none"
            raise DataError(
                "the parts do not have the same categories",
                where=str(where),
                got=f"category {number} is {_shown(name)} here, and {other} in {than}",
                expected="the same ids and names in the files of all parts; some may be left out beside train",
                fix="export all parts together, or give the categories of one the ids of the other",
            )


def _without_those_of_no_box(
    categories: Mapping[int, str], documents: Sequence[Mapping[str, Any]], problems: Problems
) -> dict[int, str]:
    """Id to name; a category that others are below and that no part uses, as some tools write, is left out and told.

    So is a background, of which no box is: a class for it would be one more than the network's.

    Such tools write nothing, or ``none``, as what is above it itself. One that stands below another, or below itself,
    is a class of a hierarchy, which its owner may know without a box of it here.
    """
    used = {
        number
        for document in documents
        for one in document["annotations"]
        if isinstance(one, dict) and _is_whole(number := one.get("category_id"))
    }
    above = {
        over
        for document in documents
        for one in document["categories"]
        if isinstance(over := one.get("supercategory"), str) and over != str(one["name"])
    }
    below = {
        one["id"]
        for document in documents
        for one in document["categories"]
        if one.get("supercategory") not in _NOTHING_ABOVE
    }
    none = {number for number, name in categories.items() if name.lower() in _BACKGROUNDS} - used
    problems.notes += [f"category {categories[number]!r} is left out: no box is of it" for number in sorted(none)]
    left_out = {number for number, name in categories.items() if name in above} - used - below - none
    problems.notes += [
        f"category {categories[number]!r} is left out: others are below it and no box is of it; it is a class where "
        "its own supercategory is its name"
        for number in sorted(left_out)
    ]
    return {number: name for number, name in categories.items() if number not in left_out | none}


@dataclass(frozen=True, slots=True)
class _Part:
    """How one part's document is read.

    Attributes:
        file: That holds it.
        folders: Where its images may lie.
        root: The data set's folder.
        labels: Id of a category of the part to its label.
        problems: Told of whatever is wrong with an image or an annotation.
    """

    file: Path
    folders: Sequence[Path]
    root: Path
    labels: Mapping[int, int]
    problems: Problems

    def images(self, document: Mapping[str, Any]) -> list[AnnotatedImage]:
        """With their boxes; an image or annotation that is none, or is of no image, is a problem and left out."""
        images: dict[int | str, AnnotatedImage | None] = {}
        places: dict[Path, int] = {}
        for place, one in enumerate(document["images"], 1):
            where = f"{self.file.name}, image {place}"
            number, name = (one.get("id"), one.get("file_name")) if isinstance(one, dict) else (None, None)
            if not _is_id(number) or not isinstance(name, str) or not name:
                self.problems.add(where, f"{_shown(one)} has no id or no file_name")
            elif number in images:
                self.problems.add(where, f"its id {_shown(number)} is that of another image too")
            else:
                images[number] = self._image(one, where, place, places)
        boxes = self._boxes(document["annotations"], images.keys())
        return [replace(one, boxes=tuple(boxes.get(number, ()))) for number, one in images.items() if one is not None]

    def _image(self, said: Mapping[str, Any], where: str, place: int, places: dict[Path, int]) -> AnnotatedImage | None:
        """Without boxes; None for one that cannot be used, which is told.

        Args:
            said: As it stands in the file.
            where: It stands there.
            place: Its number there.
            places: Paths of the images before, with their numbers; gets this one's.
        """
        path, size = place_of(said["file_name"], self.folders, self.root), _size(said)
        if path is None:
            self.problems.add(where, f"{_shown(said['file_name'])} lies outside the data folder")
        elif path in places:
            self.problems.add(where, f"{_shown(said['file_name'])} is image {places[path]} too")
        elif size == _NO_SIZE:
            self.problems.add(where, f"{_shown([said['width'], said['height']])} is no width and height")
        else:
            places[path] = place
            return AnnotatedImage(path, (), where, size)
        return None

    def _boxes(self, annotations: Sequence[Any], known: Container[int | str]) -> dict[int | str, list[StatedBox]]:
        """Id of an image to its boxes."""
        found: dict[int | str, list[StatedBox]] = {}
        for place, one in enumerate(annotations, 1):
            where = f"{self.file.name}, annotation {place}"
            number = one.get("image_id") if isinstance(one, dict) else None
            if not isinstance(one, dict):
                self.problems.add(where, f"{_shown(one)} is no annotation")
            elif not _is_id(number) or number not in known:
                self.problems.add(where, f"it is of image_id {_shown(number)}, which is no image of the file")
            elif "bbox" not in one:
                self.problems.add(where, "it has no bbox")
            elif one.get("iscrowd") not in _CROWD:
                self.problems.add(where, f"its iscrowd {_shown(one['iscrowd'])} is neither 0 nor 1")
            else:
                found.setdefault(number, []).append(self._box(one, where))
        return found

    def _box(self, one: Mapping[str, Any], where: str) -> StatedBox:
        said, category, area = one.get("bbox"), one.get("category_id"), _number(one.get("area"))
        sides = [_number(value) for value in said] if isinstance(said, list) else []
        left, top, width, height = sides if len(sides) == _SIDES else [math.nan] * _SIDES
        shown = f"[{left:g}, {top:g}, {width:g}, {height:g}]" if len(sides) == _SIDES else _shown(said)
        label = self.labels.get(category) if _is_whole(category) else None
        return StatedBox(
            label=label,
            corners=(left, top, left + width, top + height),
            where=where,
            said=f"{shown} of category {_shown(category) if label is None else category}",
            crowd=bool(one.get("iscrowd")),
            area=area if math.isfinite(area) and area > 0 else None,
        )


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height; None where one is not said, ``_NO_SIZE`` where it is not a whole number of pixels."""
    said = [image.get(side) for side in ("width", "height")]
    if None in said:
        return None
    wide, high = map(_number, said)
    return (int(wide), int(high)) if wide.is_integer() and high.is_integer() and min(wide, high) > 0 else _NO_SIZE


def _number(said: Any) -> float:  # noqa: ANN401 - any JSON value
    """As a number; not a number for what is none."""
    try:
        return float(said)
    except (OverflowError, TypeError, ValueError):
        return math.nan


def _is_whole(said: Any) -> TypeGuard[int]:  # noqa: ANN401 - any JSON value
    """Whether it is a whole number, also as ``3.0``, which some tools write."""
    return isinstance(said, int | float) and not isinstance(said, bool) and (isinstance(said, int) or said.is_integer())


def _is_id(said: Any) -> TypeGuard[int | str]:  # noqa: ANN401 - any JSON value
    """Of an image: some tools write texts."""
    return isinstance(said, str) or _is_whole(said)


def _shown(said: Any) -> str:  # noqa: ANN401 - any JSON value
    """As a message repeats it: what stands in a file may be long, and nested deeply."""
    short = Repr()
    short.maxstring = short.maxother = 80
    return short.repr(said)
