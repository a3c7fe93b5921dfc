"""A folder of images with boxes, whatever format it is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.data.boxed.annotated import Problems, dataset_of
from pipeline.data.boxed.coco import read_coco
from pipeline.data.boxed.coco_files import coco_files
from pipeline.data.boxed.voc import read_voc
from pipeline.data.boxed.voc_places import voc_places
from pipeline.data.boxed.yolo import read_yolo
from pipeline.data.boxed.yolo_places import is_yolo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.data.boxed.annotated import Annotations
    from pipeline.data.dataset import Dataset
    from pipeline.data.folder import SplitOptions
    from pipeline.data.index import FileIndex
    from pipeline.progress import Progress

__all__ = ["is_boxed", "open_boxed"]


def is_boxed(root: Path) -> bool:
    """Whether a folder is one; no image is looked at.

    Raises:
        DataError: for a layout that is ambiguous.
    """
    return bool(coco_files(root)) or is_yolo(root) or bool(voc_places(root))


def open_boxed(
    root: Path, options: SplitOptions, index: FileIndex, progress: Progress, *, name: str, drop: bool
) -> Dataset | None:
    """Read it; None for a folder that is none.

    Args:
        root: The folder.
        options: How images are drawn where the folder does not say it.
        index: What is known of files.
        progress: Told which format it is, and of what is left out.
        name: For people.
        drop: Whether bad boxes are left out; else they are refused.

    Raises:
        DataError: for whatever is wrong with it.
    """
    problems = Problems(drop=drop)
    kinds: dict[str, Callable[[], Annotations]] = {}
    if files := coco_files(root):
        kinds["COCO's JSON"] = lambda: read_coco(files, root, problems)
    if is_yolo(root):
        kinds["YOLO's text files"] = lambda: read_yolo(root, problems)
    if places := voc_places(root):
        kinds["Pascal VOC's XML files"] = lambda: read_voc(places, root, problems)
    if not kinds:
        return None
    kind, *others = kinds
    stated = kinds[kind]()
    counted = sum(map(len, stated.parts.values()))
    told = f"{name}: {kind}, {counted} images in {', '.join(stated.parts)}, {len(stated.classes)} classes"
    progress.note(f"{told}; {' and '.join(others)} there are not read" if others else told)
    return dataset_of(stated, options, index, progress, name=name)
