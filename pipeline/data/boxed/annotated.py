"""From what a file of annotations says to samples: every box is looked at, and what is wrong with one is told."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PIL import Image

from pipeline.data.boxes import Box, Objects
from pipeline.data.dataset import Dataset, Sample
from pipeline.data.folder import split_pools
from pipeline.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pipeline.data.folder import SplitOptions
    from pipeline.data.index import FileIndex
    from pipeline.progress import Progress

__all__ = ["PARTS", "AnnotatedImage", "Annotations", "Problems", "StatedBox", "dataset_of"]

PARTS = {name: name for name in ("train", "val", "test", "calibration")} | {"valid": "val", "validation": "val"}
"""How folders and files of a part are called, and which it is."""

_NAMED = 5
"""So many bad boxes and files are named."""
_ROUNDING = 1.0
"""Pixels by which a box may reach beyond its image: annotations are rounded. It is cut there."""
_ORIENTATION = 274
"""The EXIF tag."""
_TURNED = frozenset((5, 6, 7, 8))
"""Its values for images whose sides are exchanged when they are brought upright."""


@dataclass(frozen=True, slots=True)
class StatedBox:
    """A box as a file states it, in pixels, or in fractions of the image's sides.

    Attributes:
        label: Index into the classes; None for a class that is not among them.
        corners: Left, top, right, bottom.
        where: File and line, or file and number.
        said: As it stands there.
    """

    label: int | None
    corners: tuple[float, float, float, float]
    where: str
    said: str
    fractions: bool = False
    crowd: bool = False
    difficult: bool = False


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """An image file and what is stated of it.

    Attributes:
        size: Width and height that the annotations are for, where they say it.
        where: Who says so.
    """

    path: Path
    boxes: tuple[StatedBox, ...]
    where: str
    size: tuple[int, int] | None = None


@dataclass(slots=True)
class Problems:
    """What is wrong with a data set's boxes and files, gathered so that one message tells it.

    Attributes:
        drop: Whether bad boxes are left out with a note; else they are refused.
    """

    drop: bool = False
    found: list[str] = field(default_factory=list)

    def add(self, where: str, what: str) -> None:
        """Note one."""
        self.found.append(f"{where}: {what}")

    def tell(self, root: Path, progress: Progress) -> None:
        """Say what was found.

        Raises:
            DataError: naming the first ones, unless they are dropped.
        """
        if not self.found:
            return
        more = f"; and {len(self.found) - _NAMED} more" if len(self.found) > _NAMED else ""
        named = "; ".join(self.found[:_NAMED]) + more
        if self.drop:
            progress.note(f"{len(self.found)} bad boxes or files are left out: {named}")
            return
        raise DataError(
            f"{len(self.found)} bad boxes or files" if len(self.found) > 1 else "a bad box or file",
            where=str(root),
            got=named,
            expected="boxes within their images, of known classes, for images that are there",
            fix="mend them, or leave them out with --set data.bad_boxes=drop",
        )


@dataclass(frozen=True, slots=True)
class Annotations:
    """What a folder's files state.

    Attributes:
        root: The folder.
        classes: In the order of the labels.
        parts: Part name (``train``, ``val``, ``calibration``, ``test``; ``all`` alone) to its images.
        problems: What the reader has found already.
    """

    root: Path
    classes: tuple[str, ...]
    parts: Mapping[str, Sequence[AnnotatedImage]]
    problems: Problems


def dataset_of(
    stated: Annotations, options: SplitOptions, index: FileIndex, progress: Progress, *, name: str
) -> Dataset:
    """Check every box, and split as a folder of classes is split.

    Args:
        stated: By the folder's files.
        options: How images are drawn where the folder does not say it.
        index: What is known of files.
        progress: Told of hashing, and of what is left out.
        name: For people.

    Raises:
        DataError: for what is wrong with boxes or files, unless it is dropped; for too few images.
    """
    root, problems = stated.root, stated.problems
    there = {part: [one for one in images if _is_there(one, problems)] for part, images in stated.parts.items()}
    labels = {one.path: _objects(one, problems) for images in there.values() for one in images}
    problems.tell(root, progress)
    if not any(objects and objects.boxes for objects in labels.values()):
        raise DataError(
            "there is no box in this data set",
            where=str(root),
            got=f"{len(labels)} images",
            expected="at least one box to learn from or to find",
        )
    hashes = index.hashes([path for path, objects in labels.items() if objects], progress)
    pools = {
        part: tuple(
            Sample(
                path=one.path,
                name=one.path.relative_to(root).as_posix(),
                label=objects,
                sha256=hashes[one.path].sha256,
                status=hashes[one.path].status,
            )
            for one in sorted(images, key=lambda one: one.path)
            if (objects := labels[one.path]) is not None
        )
        for part, images in there.items()
    }
    splits = split_pools(pools, root, options, progress)
    return Dataset(
        name=name,
        task="detection",
        classes=stated.classes,
        train=splits["train"],
        validation=splits["validation"],
        calibration=splits["calibration"],
        test=splits["test"],
    )


def _is_there(image: AnnotatedImage, problems: Problems) -> bool:
    if not image.path.is_file():
        problems.add(image.where, f"there is no image {image.path.name}")
        return False
    return True


def _objects(image: AnnotatedImage, problems: Problems) -> Objects | None:
    """The objects of the upright image; None when it cannot be read or is not of the stated size."""
    try:
        with Image.open(image.path) as opened:
            stored, orientation = opened.size, int(opened.getexif().get(_ORIENTATION, 1))
    except Exception as error:  # noqa: BLE001 - on broken files decoders raise anything
        problems.add(str(image.path), f"cannot be read as an image ({error})")
        return None
    upright = stored[::-1] if orientation in _TURNED else stored
    if image.size is not None and image.size not in {stored, upright}:
        problems.add(image.where, f"is for images of {_shown(image.size)}, {image.path.name} has {_shown(upright)}")
        return None
    # Annotations for the sides as they are stored were drawn on the image as it is stored; most tools show it upright.
    turned = orientation in _TURNED and image.size == stored != upright
    side = stored if turned else upright
    boxes = [_checked(box, side, problems) for box in image.boxes]
    placed = [_brought_upright(box, stored, orientation) if turned else box for box in boxes if box is not None]
    return Objects(size=upright, boxes=tuple(placed))


def _shown(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _checked(box: StatedBox, size: tuple[int, int], problems: Problems) -> Box | None:
    """The box in pixels, cut at the border where it reaches beyond it by rounding; None for a bad one."""
    wide, high = size
    scale = (wide, high, wide, high) if box.fractions else (1, 1, 1, 1)
    left, top, right, bottom = (value * side for value, side in zip(box.corners, scale, strict=True))
    beyond = max(-left, -top, right - wide, bottom - high)
    problem = None
    if not all(map(math.isfinite, box.corners)):
        problem = "is no number"
    elif right < left or bottom < top:
        problem = "has its corners reversed"
    elif right == left or bottom == top:
        problem = "is empty"
    elif beyond > _ROUNDING or min(wide - left, high - top, right, bottom) <= 0:
        problem = f"lies outside the image of {_shown(size)}"
    elif box.label is None:
        problem = "is of an unknown class"
    if problem is not None or box.label is None:
        problems.add(box.where, f"box {box.said} {problem}")
        return None
    corners = max(0.0, left), max(0.0, top), min(float(wide), right), min(float(high), bottom)
    return Box(box.label, *corners, crowd=box.crowd, difficult=box.difficult)


def _brought_upright(box: Box, stored: tuple[int, int], orientation: int) -> Box:
    """A box of an image as it is stored, where it lies in the upright one; for the tag's values 5 to 8.

    Source: Exif 2.3, section 4.6.4, tag 274; as Pillow's ``ImageOps.exif_transpose``.
    """
    wide, high = stored
    left, top, right, bottom = box.left, box.top, box.right, box.bottom
    corners = {
        5: (top, left, bottom, right),
        6: (high - bottom, left, high - top, right),
        7: (high - bottom, wide - right, high - top, wide - left),
        8: (top, wide - right, bottom, wide - left),
    }[orientation]
    return Box(box.label, *corners, crowd=box.crowd, difficult=box.difficult)
