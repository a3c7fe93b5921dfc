"""A folder of images with boxes, whatever format it is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.data.boxed.annotated import Problems, dataset_of
from pipeline.data.boxed.coco import coco_files, read_coco
from pipeline.data.boxed.yolo import is_yolo, read_yolo

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.data.dataset import Dataset
    from pipeline.data.folder import SplitOptions
    from pipeline.data.index import FileIndex
    from pipeline.progress import Progress

__all__ = ["open_boxed"]


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
    files = coco_files(root)
    if not files and not is_yolo(root):
        return None
    stated = read_coco(files, root, problems) if files else read_yolo(root, problems)
    kind = "COCO's JSON" if files else "YOLO's text files"
    counted = sum(map(len, stated.parts.values()))
    progress.note(f"{name}: {kind}, {counted} images in {', '.join(stated.parts)}, {len(stated.classes)} classes")
    return dataset_of(stated, options, index, progress, name=name)
