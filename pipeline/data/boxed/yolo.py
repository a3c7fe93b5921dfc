"""Folders with YOLO's text files: for every image one of its name, a line an object.

A line is ``class x y width height``, centre and size in fractions of the image's sides, with or without a confidence
behind them; or the class and the corners of a polygon, of which the box around them is taken. ``data.yaml`` (``names``,
and ``train``, ``val``, ``test`` where they are: a folder, a text file of paths, or a list of such) or ``classes.txt``
names the classes. Images lie in ``images/<part>``, also as ``images/train2017``, in ``<part>/images`` or ``images``,
their texts in the same place below ``labels``; an image without one shows no object.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.data.boxed.annotated import AnnotatedImage, Annotations, StatedBox
from pipeline.data.boxed.places import below, is_file, spellings
from pipeline.data.boxed.yolo_places import image_places, not_named
from pipeline.data.boxed.yolo_yaml import class_names, read_yolo_yaml
from pipeline.data.scan import images_below, links_within, read_lines
from pipeline.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.data.boxed.annotated import Problems

__all__ = ["read_yolo"]

_BOX = 5
"""Values of a line: class, centre and size."""
_POLYGON = 7
"""Values of the shortest polygon: class and three corners."""
_MAX_BYTES = 8 << 20
"""Of the text of one image."""
_SHOWN = 80
"""Letters of a line that a message repeats."""


def read_yolo(root: Path, problems: Problems) -> Annotations:
    """The classes and the images of each part.

    Args:
        root: The folder.
        problems: Told of texts without images, and of lines that are none.

    Raises:
        DataError: when classes are not named, there are no images, no part is where ``data.yaml`` says, or one lies
            outside the folder.
    """
    told = read_yolo_yaml(root)
    classes = class_names(told, root)
    places = image_places(root, told, problems)
    if not places:
        raise DataError(
            "no folder of images here", where=str(root), expected="images/train and labels/train, or train/images"
        )
    reader = _Reader(root, len(classes), _values_with_keypoints(told), problems)
    parts = {part: [image for place in found for image in reader.images(place)] for part, found in places.items()}
    problems.notes += _without_texts(root, parts)
    problems.notes += not_named(root, places, {image.path.parent for images in parts.values() for image in images})
    return Annotations(root, classes, parts, problems)


def _without_texts(root: Path, parts: Mapping[str, Sequence[AnnotatedImage]]) -> Iterator[str]:
    """Of each part how many images have no text: whoever means that they show nothing may have lost some."""
    for part, images in parts.items():
        lacking = [image.where for image in images if not is_file(root / image.where)]
        if lacking:
            yield (
                f"{len(lacking)} of {len(images)} images of {part} have no text and are taken to show nothing "
                f"(first: {lacking[0]})"
            )


def _values_with_keypoints(told: dict[str, Any]) -> int | None:
    """How many values a line has where key points stand behind its box; None where there are none."""
    shape = told.get("kpt_shape")
    if not isinstance(shape, list) or not all(isinstance(one, str) and one.isdecimal() for one in shape):
        return None
    return _BOX + math.prod(int(one[:4]) for one in shape)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads images and their texts.

    Attributes:
        root: The data set's folder.
        classes: How many there are.
        with_keypoints: Values of a line that has key points behind its box; None where there are none.
        problems: Told of whatever is wrong.
    """

    root: Path
    classes: int
    with_keypoints: int | None
    problems: Problems

    def images(self, place: Path) -> Iterator[AnnotatedImage]:
        """Of a folder, or of a text file that lists them."""
        if not place.is_dir():
            yield from self._listed(place)
            return
        links: list[Path] = []
        paths = images_below(place, links)
        if not_followed := links_within(self.root, links):
            self.problems.notes.append(not_followed)
        places = [self._texts_of(path.parent) / path.name for path in paths]
        named = {one.with_suffix("") for one in places}
        for text in self._texts_beside(place, places):
            if text.with_suffix("") not in named and text.name != "classes.txt":
                self.problems.add(str(text.relative_to(self.root)), "there is no image of this name")
        for path, one in zip(paths, places, strict=True):
            yield self._annotated(path, one)

    def _texts_beside(self, place: Path, places: Sequence[Path]) -> list[Path]:
        """All texts in folders where some of a folder of images are looked for; a folder of labels may hold more.

        Args:
            place: The folder of images.
            places: Where its images' texts are looked for.
        """
        whole = self._texts_of(place)
        texts = {text for folder in {one.parent for one in places} for text in folder.glob("*.txt")}
        return sorted(texts | set(whole.rglob("*.txt") if whole != place and whole.is_dir() else ()))

    def _listed(self, file: Path) -> Iterator[AnnotatedImage]:
        """The images that a text file names, by paths as seen from it or from the data set's folder."""
        name, lines = file.relative_to(self.root).as_posix(), read_lines(file)
        if not lines:
            raise DataError("names no image", where=str(file), expected="one path a line")
        for number, line in enumerate(lines, 1):
            where = f"{name}, path {number}"
            named = [folder / one for one in spellings(line) for folder in (file.parent, self.root)]
            places = [place for one in named if (place := below(self.root, one)) is not None]
            path = next((place for place in places if is_file(place)), None)
            if not places:
                self.problems.add(where, f"{line[:_SHOWN]} lies outside the data folder")
            elif path is None:
                self.problems.add(where, f"there is no image {line[:_SHOWN]}")
            else:
                yield self._annotated(path, self._texts_of(path.parent) / path.name)

    def _texts_of(self, folder: Path) -> Path:
        """Where the texts of a folder of images lie: ``labels`` for the last ``images`` in its path."""
        parts = list(folder.relative_to(self.root).parts)
        for number in range(len(parts) - 1, -1, -1):
            if parts[number] == "images":
                parts[number] = "labels"
                return self.root.joinpath(*parts)
        return folder

    def _annotated(self, path: Path, place: Path) -> AnnotatedImage:
        text = place.with_suffix(".txt")
        name, boxes = str(text.relative_to(self.root)), []
        for number, line in enumerate(self._lines(text, name), 1):
            where, shown = f"{name}, line {number}", repr(line[:_SHOWN])
            if not line.strip():
                continue
            try:
                values = [float(value) for value in line.split()]
            except ValueError:
                values = []
            corners = self._corners(values)
            if corners is None:
                self.problems.add(where, f"{shown} is not 'class x y width height'")
                continue
            known = values[0].is_integer() and 0 <= values[0] < self.classes
            boxes.append(StatedBox(int(values[0]) if known else None, corners, where, shown, fractions=True))
        return AnnotatedImage(path, tuple(boxes), name)

    def _lines(self, text: Path, name: str) -> list[str]:
        """None where there is no text; one that cannot be read is a problem."""
        if not is_file(text):
            return []
        try:
            if text.stat().st_size <= _MAX_BYTES:
                return text.read_text(encoding="utf-8-sig", errors="replace").splitlines()
            self.problems.add(name, f"is larger than {_MAX_BYTES} bytes")
        except OSError as error:
            self.problems.add(name, f"cannot be read ({error.strerror})")
        return []

    def _corners(self, values: Sequence[float]) -> tuple[float, float, float, float] | None:
        """Left, top, right and bottom of what a line says; None for a line that says no box."""
        if len(values) in {_BOX, _BOX + 1, self.with_keypoints}:
            _, x, y, width, height, *_ = values
            return x - width / 2, y - height / 2, x + width / 2, y + height / 2
        if self.with_keypoints is not None or len(values) < _POLYGON or len(values) % 2 == 0:
            return None
        if not all(map(math.isfinite, values)):
            return (math.nan,) * 4
        return min(values[1::2]), min(values[2::2]), max(values[1::2]), max(values[2::2])
