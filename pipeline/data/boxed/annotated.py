"""From what a file of annotations says to samples: every box is looked at, and what is wrong with one is told."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pipeline.data.boxed.header import MOVED, TURNED, size_and_orientation
from pipeline.data.boxed.places import is_file
from pipeline.data.boxes import Box, Objects
from pipeline.data.dataset import Dataset, Sample
from pipeline.data.folder import split_pools
from pipeline.data.scan import check_classes, is_text, links_out
from pipeline.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pipeline.data.folder import SplitOptions
    from pipeline.data.index import FileIndex
    from pipeline.progress import Progress

__all__ = ["PARTS", "AnnotatedImage", "Annotations", "Problems", "StatedBox", "dataset_of", "part_in"]

PARTS = {name: name for name in ("train", "val", "test", "calibration")} | {
    "training": "train",
    "valid": "val",
    "validation": "val",
    "testing": "test",
}
"""How folders and files of a part are called, and which it is."""


_NAMED = 5
"""So many bad boxes and files are named."""
_ROUNDING = 1.0
"""Pixels by which a box may reach beyond its image: annotations are rounded. It is cut there."""
_WITHIN = 0.25
"""Of its area: what is left of a box that is cut at the border of its image is still its object from here on."""


def part_in(name: str) -> str | None:
    """The part that a word of a name says, as in ``train2017`` and ``my-val``; None where none does."""
    words = re.split(r"[^a-z]+", name.lower())
    return next((PARTS[word] for word in words if word in PARTS), None)


@dataclass(frozen=True, slots=True)
class StatedBox:
    """A box as a file states it, in pixels, or in fractions of the image's sides.

    Attributes:
        label: Index into the classes; None for a class that is not among them.
        corners: Left, top, right, bottom.
        where: File and line, or file and number.
        said: As it stands there.
        area: Pixels that the object covers, where the file says it.
    """

    label: int | None
    corners: tuple[float, float, float, float]
    where: str
    said: str
    fractions: bool = False
    crowd: bool = False
    difficult: bool = False
    area: float | None = None


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
        drop: Whether bad boxes are left out with a note, and those that reach beyond their image cut there; else they
            are refused.
        found: Each with where it is.
        notes: What is no fault, but has to be known.
        turned: Images that are turned upright, and whether their boxes are.
        cut: Where boxes stand that were cut.
        again: Where boxes stand that stand there before.
    """

    drop: bool = False
    found: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    turned: dict[Path, bool] = field(default_factory=dict)
    cut: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)

    def tell_of_turned(self) -> None:
        """Note which images are turned: annotations and weights may be for the images as they are stored."""
        if self.turned:
            along = sum(self.turned.values())
            boxes = f"{along} of them with their boxes, which are for the sides as they are stored" if along else ""
            rest = "the boxes of all" if not along else "those of the others" if along < len(self.turned) else ""
            told = "; ".join(filter(None, (boxes, rest and f"{rest} are taken to be for the upright image")))
            first, many = min(self.turned).name, len(self.turned)
            what = "1 image is turned upright by its" if many == 1 else f"{many} images are turned upright by their"
            self.notes.append(f"{what} EXIF tag (first: {first}): {told}")

    def add(self, where: str, what: str) -> None:
        """Note one."""
        self.found.append(f"{where}: {what}")

    def tell(self, root: Path, progress: Progress) -> None:
        """Say what was found.

        Raises:
            DataError: naming the first ones, unless they are dropped.
        """
        for note in self.notes:
            progress.note(note)
        if self.cut:
            many = (
                f"{len(self.cut)} boxes reach beyond their images"
                if len(self.cut) > 1
                else "a box reaches beyond its image"
            )
            progress.note(f"{many}: cut at the border (first: {self.cut[0]})")
        if self.again:
            many = f"{len(self.again)} boxes stand" if len(self.again) > 1 else "a box stands"
            progress.note(f"{many} there twice, and count once (first: {self.again[0]})")
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
            fix="mend them, or leave them out with --set data.bad_boxes=drop, which cuts boxes that reach beyond their "
            "image",
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
        DataError: for what is wrong with boxes or files, unless it is dropped; for too few images; for classes that
            have no names; where there is nothing to find on the images that are scored.
    """
    root, problems = stated.root, stated.problems
    check_classes(stated.classes, where=root)
    labels = {part: _labels(images, problems) for part, images in stated.parts.items()}
    problems.tell_of_turned()
    paths = [path for part in labels.values() for path in part]
    if led_out := links_out(root, _folders_of(paths, root)):
        problems.notes.append(led_out)
    problems.tell(root, progress)
    if not any(objects.boxes for part in labels.values() for objects in part.values()):
        raise DataError(
            "there is no box in this data set",
            where=str(root),
            got=f"{len(paths)} images",
            expected="at least one box to learn from or to find",
        )
    hashes = index.hashes(paths, progress)
    pools = {
        part: tuple(
            Sample(
                path=path,
                name=path.relative_to(root).as_posix(),
                label=objects,
                sha256=hashes[path].sha256,
                status=hashes[path].status,
            )
            for path, objects in sorted(images.items())
        )
        for part, images in labels.items()
    }
    splits = split_pools(pools, root, options, progress)
    _refuse_nothing_to_find(splits, root, drawn=options.test_images)
    return Dataset(
        name=name,
        task="detection",
        classes=stated.classes,
        train=splits["train"],
        validation=splits["validation"],
        calibration=splits["calibration"],
        test=splits["test"],
    )


def _folders_of(paths: Sequence[Path], root: Path) -> list[Path]:
    """All folders below ``root`` on the way to the files."""
    last = {path.parent for path in paths}
    return sorted({one for folder in last for one in (folder, *folder.parents) if one.is_relative_to(root)})


def _refuse_nothing_to_find(splits: Mapping[str, Sequence[Sample]], root: Path, *, drawn: int | None) -> None:
    """Now rather than after hours of training: where nothing has to be found, no detector can be told from another."""
    fixes = {
        "test": "add images with objects to them"
        if drawn is None
        else f"score more of them than the {drawn} of data.test_images, or add images with objects",
        "validation": "hold more images back with --set data.validation=0.2",
    }
    for name, fix in fixes.items():
        if splits[name] and not any(sample.counts for sample in splits[name]):
            raise DataError(
                f"there is nothing to find on the {name} images",
                where=str(root),
                got=f"{len(splits[name])} images without an object that has to be found",
                expected="objects that are neither crowds nor difficult on some of them",
                fix=fix,
            )


def _labels(images: Iterable[AnnotatedImage], problems: Problems) -> dict[Path, Objects]:
    """The objects of each image; of two that say something of one image the first counts, and the other is told."""
    found: dict[Path, Objects] = {}
    said_by: dict[Path, str] = {}
    for one in images:
        if one.path not in said_by:
            said_by[one.path] = one.where
            if (objects := _objects(one, problems)) is not None:
                found[one.path] = objects
        elif (before := said_by[one.path]) != one.where:  # a list may name an image and its one file twice
            problems.add(one.where, f"is about {one.path.name}, as {before} is")
    return found


def _objects(image: AnnotatedImage, problems: Problems) -> Objects | None:
    """The objects of the upright image; None where it is not there, cannot be read or is not of the stated size."""
    if not is_text(image.path):
        problems.add(image.where, f"the name of the image {image.path.name!a} is no text in UTF-8")
        return None
    if not is_file(image.path):
        problems.add(image.where, f"there is no image {image.path.name}")
        return None
    try:
        stored, orientation = size_and_orientation(image.path)
    except Exception as error:  # noqa: BLE001 - on broken files decoders raise anything
        problems.add(str(image.path), f"cannot be read as an image ({error})")
        return None
    upright = stored[::-1] if orientation in TURNED else stored
    if image.size is not None and image.size not in {stored, upright}:
        problems.add(image.where, f"is for images of {_shown(image.size)}, {image.path.name} has {_shown(upright)}")
        return None
    # Annotations for the sides as they are stored were drawn on the image as it is stored; most tools show it upright.
    turned = orientation in TURNED and image.size == stored != upright
    if orientation in MOVED:
        problems.turned[image.path] = turned
    side = stored if turned else upright
    boxes: dict[Box, None] = {}
    for one in image.boxes:
        box = _checked(one, side, problems)
        if box in boxes:  # of two on one place no detector finds both
            problems.again.append(f"{one.where}: box {one.said}")
        elif box is not None:
            boxes[box] = None
    placed = [_brought_upright(box, stored, orientation) if turned else box for box in boxes]
    return Objects(size=upright, boxes=tuple(placed))


def _shown(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _checked(box: StatedBox, size: tuple[int, int], problems: Problems) -> Box | None:
    """The box in pixels, cut at the border where it reaches beyond it by rounding, or may; None for a bad one."""
    wide, high = size
    scale = (wide, high, wide, high) if box.fractions else (1, 1, 1, 1)
    left, top, right, bottom = (value * side for value, side in zip(box.corners, scale, strict=True))
    beyond = max(-left, -top, right - wide, bottom - high)
    corners = max(0.0, left), max(0.0, top), min(float(wide), right), min(float(high), bottom)
    within = (corners[2] - corners[0]) * (corners[3] - corners[1])
    may_be_cut = problems.drop and within >= _WITHIN * (right - left) * (bottom - top)
    problem = None
    if not all(map(math.isfinite, box.corners)):
        problem = "is no number"
    elif right < left or bottom < top:
        problem = "has its corners reversed"
    elif right == left or bottom == top:
        problem = "is empty"
    elif min(wide - left, high - top, right, bottom) <= 0 or (beyond > _ROUNDING and not may_be_cut):
        problem = f"lies outside the image of {_shown(size)}"
    elif box.label is None:
        problem = "is of an unknown class"
    if problem is not None or box.label is None:
        problems.add(box.where, f"box {box.said} {problem}")
        return None
    if beyond > _ROUNDING:
        problems.cut.append(f"{box.where}: box {box.said}")
    whole = Box(box.label, *corners, crowd=box.crowd, difficult=box.difficult)
    return whole if box.area is None or box.area == whole.covered else replace(whole, area=box.area)


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
    left, top, right, bottom = corners
    return replace(box, left=left, top=top, right=right, bottom=bottom)
