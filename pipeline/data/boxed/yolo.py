"""Folders with YOLO's text files: for every image one of its name, a line an object.

A line is ``class x y width height``, centre and size in fractions of the image's sides. ``data.yaml`` (``names``, and
``train``, ``val``, ``test`` where they are) or ``classes.txt`` names the classes. Images lie in ``images/<part>``,
``<part>/images`` or ``images``, their texts in the same place below ``labels``; an image without one shows no object.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pipeline.data.boxed.annotated import PARTS, AnnotatedImage, Annotations, StatedBox
from pipeline.data.scan import images_below, read_lines
from pipeline.errors import DataError

if TYPE_CHECKING:
    from pipeline.data.boxed.annotated import Problems

__all__ = ["is_yolo", "read_yolo"]

_YAML = ("data.yaml", "dataset.yaml")
_FIELDS = 5


def is_yolo(root: Path) -> bool:
    """Whether a folder has the layout: texts in a folder ``labels``, or a ``data.yaml``."""
    if any((root / name).is_file() for name in _YAML):
        return True
    texts = (text for place in _places(root) for text in (place / "labels").rglob("*.txt"))
    return next(texts, None) is not None


def _places(root: Path) -> list[Path]:
    return [root, *(root / name for name in PARTS if (root / name).is_dir())]


def read_yolo(root: Path, problems: Problems) -> Annotations:
    """The classes and the images of each part.

    Args:
        root: The folder.
        problems: Told of texts without images, and of lines that are none.

    Raises:
        DataError: when classes are not named, or there are no images.
    """
    told = _yaml(root)
    classes = _classes(root, told)
    folders = _folders(root, told)
    if not folders:
        raise DataError(
            "no folder of images here", where=str(root), expected="images/train and labels/train, or train/images"
        )
    parts = {
        part: [image for folder in found for image in _images(folder, len(classes), root, problems)]
        for part, found in folders.items()
    }
    return Annotations(root, classes, parts, problems)


def _yaml(root: Path) -> dict[str, Any]:
    file = next((root / name for name in _YAML if (root / name).is_file()), None)
    if file is None:
        return {}
    try:
        told = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(
            "this is no YAML", where=str(file), got=str(error), expected="YAML that names the classes"
        ) from error
    if not isinstance(told, dict):
        raise DataError("this says nothing of a data set", where=str(file), expected="names: and train:, val:")
    return told


def _classes(root: Path, told: dict[str, Any]) -> tuple[str, ...]:
    names = told.get("names")
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if isinstance(names, list) and names:
        return tuple(map(str, names))
    if names is None and (root / "classes.txt").is_file():
        return tuple(read_lines(root / "classes.txt"))
    raise DataError(
        "the classes are not named",
        where=str(root),
        got=None if names is None else f"names: {names}",
        expected="names: in data.yaml, a list or 0 to n-1, or a classes.txt with one a line",
    )


def _folders(root: Path, told: dict[str, Any]) -> dict[str, list[Path]]:
    """Part name to its folders of images: as ``data.yaml`` says it where those are there, else by their places."""
    found: dict[str, list[Path]] = {}
    for name, part in PARTS.items():
        said = told.get(name)
        entries = said if isinstance(said, list) else [said] if isinstance(said, str) else []
        base = root / str(told.get("path") or "")
        stated = [place for one in entries for place in (base / one, root / one, root / one.removeprefix("../"))]
        usual = [root / "images" / name, root / name / "images"]
        folder = next((place for place in (*stated, *usual) if place.is_dir()), None)
        if folder is not None and folder not in found.get(part, []):
            found.setdefault(part, []).append(folder)
    if not found and (root / "images").is_dir():
        found["all"] = [root / "images"]
    return found


def _images(folder: Path, classes: int, root: Path, problems: Problems) -> list[AnnotatedImage]:
    texts = _texts_of(folder, root)
    paths = images_below(folder)
    named = {path.relative_to(folder).with_suffix("") for path in paths}
    for text in sorted(texts.rglob("*.txt")) if texts.is_dir() else ():
        if text.relative_to(texts).with_suffix("") not in named and text.name != "classes.txt":
            problems.add(str(text.relative_to(root)), "there is no image of this name")
    return [_annotated(path, texts / path.relative_to(folder), classes, root, problems) for path in paths]


def _texts_of(folder: Path, root: Path) -> Path:
    """Where the texts of a folder of images lie: ``labels`` for the last ``images`` in its path."""
    parts = list(folder.relative_to(root).parts)
    for number in range(len(parts) - 1, -1, -1):
        if parts[number] == "images":
            parts[number] = "labels"
            return root.joinpath(*parts)
    return folder


def _annotated(path: Path, place: Path, classes: int, root: Path, problems: Problems) -> AnnotatedImage:
    text = place.with_suffix(".txt")
    name = str(text.relative_to(root))
    lines = text.read_text(encoding="utf-8", errors="replace").splitlines() if text.is_file() else []
    boxes = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            label, x, y, width, height = map(float, line.split()[:_FIELDS])
        except ValueError:
            problems.add(f"{name}, line {number}", f"{line!r} is not 'class x y width height'")
            continue
        known = label.is_integer() and 0 <= label < classes
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        boxes.append(
            StatedBox(int(label) if known else None, corners, f"{name}, line {number}", repr(line), fractions=True)
        )
    return AnnotatedImage(path, tuple(boxes), name)
