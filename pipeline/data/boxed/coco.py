"""Folders with COCO's JSON.

Files of annotations are ``annotations/*.json``, ``<part>/_annotations.coco.json``, or a JSON beside the images' folder.
A file belongs to the part (train, val, test, calibration) that its own name or its folder's says; one that says none
is split by us. Images are looked for beside the file, in the folder of the part, in ``images/`` of either, and in the
data set's folder. Source of the format: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from pipeline.data.boxed.annotated import PARTS, AnnotatedImage, Annotations, StatedBox
from pipeline.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pipeline.data.boxed.annotated import Problems

__all__ = ["coco_files", "read_coco"]

_MAX_BYTES = 4 << 30


def coco_files(root: Path) -> dict[str, Path]:
    """Part name to its file of annotations; empty where the folder holds none.

    Raises:
        DataError: when two files are for one part.
    """
    found: dict[str, Path] = {}
    for file in sorted((*root.glob("*.json"), *root.glob("annotations/*.json"), *root.glob("*/*.coco.json"))):
        if not _looks_like_coco(file):
            continue
        part = _part_of(file, root)
        if part in found:
            raise DataError(
                f"two files of annotations are for {part}", where=str(root), got=f"{found[part].name} and {file.name}",
                fix="keep one of them",
            )  # fmt: skip
        found[part] = file
    if "all" in found and len(found) > 1:
        raise DataError(
            "this file of annotations does not say which part it is for",
            where=str(found["all"]),
            expected="a name with train, val or test in it, beside the others",
        )
    return found


def _looks_like_coco(file: Path) -> bool:
    """Whether it has the three lists; a folder may hold other JSON."""
    try:
        content = file.read_bytes() if file.stat().st_size <= _MAX_BYTES else b""
    except OSError as error:
        raise DataError(
            "this file cannot be read", where=str(file), got=error.strerror, fix="see that it is there and may be read"
        ) from error
    return all(key in content for key in (b'"images"', b'"annotations"', b'"categories"', b'"bbox"'))


def _part_of(file: Path, root: Path) -> str:
    words = re.split(r"[^a-z]+", file.stem.lower())
    if file.parent != root and file.parent.name != "annotations":
        words += re.split(r"[^a-z]+", file.parent.name.lower())
    return next((PARTS[word] for word in words if word in PARTS), "all")


def read_coco(files: Mapping[str, Path], root: Path, problems: Problems) -> Annotations:
    """The classes, in the order of their ids, and the images of each part.

    Args:
        files: As of :func:`coco_files`.
        root: The data set's folder.
        problems: What is wrong goes there.

    Raises:
        DataError: for a file that is no COCO document, and for parts with other classes.
    """
    documents = {part: _document(file) for part, file in files.items()}
    categories = {part: _categories(document, files[part]) for part, document in documents.items()}
    first = next(iter(categories.values()))
    for part, found in categories.items():
        if found != first:
            raise DataError(
                "the parts do not have the same categories",
                where=str(files[part]),
                got=", ".join(map(str, found.values())),
                expected=", ".join(map(str, first.values())),
            )
    labels = {number: label for label, number in enumerate(sorted(first))}
    classes = tuple(first[number] for number in sorted(first))
    parts = {part: _images(document, files[part], part, root, labels) for part, document in documents.items()}
    return Annotations(root, classes, parts, problems)


def _document(file: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
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
    """Id to name; a category that is above others and never used, as some tools write, is left out."""
    used = {one.get("category_id") for one in document["annotations"] if isinstance(one, dict)}
    above = {one.get("supercategory") for one in document["categories"] if isinstance(one, dict)}
    try:
        found = {int(one["id"]): str(one["name"]) for one in document["categories"]}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            "a category has no id or no name", where=str(file), got=str(error), expected="an object with id and name"
        ) from error
    kept = {number: name for number, name in found.items() if number in used or name not in above}
    if not kept or len(set(kept.values())) < len(kept):
        raise DataError(
            "no category, or two of one name",
            where=str(file),
            got=", ".join(found.values()) or "none",
            expected="categories with a name each, no two alike",
        )
    return kept


def _images(
    document: Mapping[str, Any], file: Path, part: str, root: Path, labels: Mapping[int, int]
) -> list[AnnotatedImage]:
    boxes: dict[Any, list[StatedBox]] = {}
    for place, one in enumerate(document["annotations"]):
        boxes.setdefault(one.get("image_id"), []).append(_box(one, f"{file.name}, annotation {place + 1}", labels))
    folders = _folders(file, part, root)
    found = []
    for place, image in enumerate(document["images"]):
        where = f"{file.name}, image {place + 1}"
        try:
            number, name = image["id"], str(image["file_name"])
            size = (int(image["width"]), int(image["height"])) if "width" in image and "height" in image else None
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                "an image has no id or no file name",
                where=where,
                got=str(error),
                expected="an object with id and file_name",
            ) from error
        found.append(AnnotatedImage(_path(name, folders), tuple(boxes.pop(number, ())), where, size))
    if boxes:
        number, (first, *_) = next(iter(boxes.items()))
        raise DataError(
            "annotations are of images that the file does not name",
            where=f"{file}, {first.where.partition(', ')[2]}",
            got=f"image_id {number}",
            expected=f"one of its {len(found)} images",
        )
    return found


def _box(one: Mapping[str, Any], where: str, labels: Mapping[int, int]) -> StatedBox:
    said = one.get("bbox")
    try:
        left, top, width, height = (float(value) for value in said or ())
    except (TypeError, ValueError):
        left = top = width = height = float("nan")
    return StatedBox(
        label=labels.get(one.get("category_id", -1)),
        corners=(left, top, left + width, top + height),
        where=where,
        said=f"{said} of category {one.get('category_id')}",
        crowd=bool(one.get("iscrowd")),
    )


def _folders(file: Path, part: str, root: Path) -> list[Path]:
    """Where a part's images may lie."""
    stem = file.stem.removeprefix("instances_")
    names = [stem, *(name for name, of in PARTS.items() if of == part)]
    beside = [file.parent] if file.parent.name != "annotations" else []
    places = [*beside, *(root / name for name in names), *(root / "images" / name for name in names), root / "images"]
    return [place for place in (*places, root) if place.is_dir()]


def _path(name: str, folders: Sequence[Path]) -> Path:
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    return folders[0] / name
