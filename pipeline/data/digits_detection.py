"""scikit-learn's handwritten digits on larger canvases, with a box around each: a detection data set without download.

Grey canvases of 160 pixels with no to six digits of 24 to 64 pixels, of any brightness on any darker ground, that
overlap a little; one canvas in twelve is empty. Every digit is drawn on the canvases of one split alone: that in which
``digits`` has it. Written as PNG files with COCO's JSON beside them, and read as any folder of that kind.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from pipeline.artifact import sha256_of_json
from pipeline.data.digits import split_digits
from pipeline.data.png import grey_png
from pipeline.data.sealed_folder import is_as_written, publish_sealed
from pipeline.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pipeline.artifact import Json
    from pipeline.progress import Progress
    from pipeline.session import Array

__all__ = ["CANVAS", "DIGITS_DETECTION_SHA256", "write_digits_detection"]

DIGITS_DETECTION_SHA256 = "b9e2366598b78873e525a607cad432cf89928d5fdd0b04695a98ade5c680c431"
"""Hash over the annotations and the pixels of all files."""

CANVAS = 160
"""Side of every image, pixels."""

_IMAGES = {"train": 1200, "calibration": 128, "test": 250}
_EMPTY, _MOST = 1 / 12, 6
_SIDES = (24, 64)
_OVERLAP = 0.15
"""Largest intersection of two boxes over the smaller one."""
_GRAIN = 12
"""Brightness of the ground's weave."""
_INK = 0.25
"""Of the brightest: what is darker does not count for the box."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """A digit on a canvas: its class, and its box as COCO has it: left, top, width, height."""

    label: int
    box: tuple[int, int, int, int]


def write_digits_detection(cache: Path, progress: Progress) -> Path:
    """The folder with a folder of images a split and ``annotations/``; written on the first call, found by later ones.

    One that is not what was written is told, and written anew.

    Raises:
        ResourceError: when it cannot be written.
        ContractError: when what was drawn is not what is known here.
    """
    target = cache / "datasets" / f"digits-detection-{DIGITS_DETECTION_SHA256[:16]}"
    if is_as_written(target, cache, progress):
        return target
    drawn = {split: _canvases(split, count) for split, count in _IMAGES.items()}
    annotations = {split: _coco(placed for _, placed in canvases) for split, canvases in drawn.items()}
    pixels = {
        split: hashlib.sha256(b"".join(canvas.tobytes() for canvas, _ in canvases)).hexdigest()
        for split, canvases in drawn.items()
    }
    found = sha256_of_json({"annotations": annotations, "pixels": pixels})
    if found != DIGITS_DETECTION_SHA256:
        raise ContractError("the embedded canvases changed", got=found, expected=DIGITS_DETECTION_SHA256)
    with publish_sealed(target, cache) as folder:
        (folder / "annotations").mkdir()
        for split, canvases in drawn.items():
            (folder / split).mkdir()
            for number, (canvas, _) in enumerate(canvases):
                (folder / split / _name(number)).write_bytes(grey_png(canvas))
            text = json.dumps(annotations[split])
            (folder / "annotations" / f"instances_{split}.json").write_text(text, encoding="utf-8")
    return target


def _name(number: int) -> str:
    return f"{number:04}.png"


def _coco(canvases: Iterable[Sequence[_Placed]]) -> dict[str, Json]:
    """COCO's document of one split; https://cocodataset.org/#format-data."""
    images: list[Json] = []
    annotations: list[Json] = []
    for number, placed in enumerate(canvases):
        images.append({"id": number, "file_name": _name(number), "width": CANVAS, "height": CANVAS})
        for one in placed:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": one.label,
                    "bbox": list(one.box),
                    "area": one.box[2] * one.box[3],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": digit, "name": str(digit)} for digit in range(10)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _canvases(split: str, count: int) -> list[tuple[Array, list[_Placed]]]:
    """Canvas, uint8 (height, width), and what is on it; of Python's own generator, whose numbers never change."""
    digits = split_digits()[split]
    return [_canvas(digits, Random(f"{split} {number}")) for number in range(count)]


def _canvas(digits: Sequence[tuple[Array, int]], draw: Random) -> tuple[Array, list[_Placed]]:
    ground = int(60 * draw.random())
    grain = [int(_GRAIN * draw.random()) for _ in range(CANVAS)]
    canvas = ground + np.add.outer(grain, grain[::-1])
    wanted = 0 if draw.random() < _EMPTY else 1 + int(_MOST * draw.random())
    placed: list[_Placed] = []
    for _ in range(4 * wanted):  # some find no room
        if len(placed) == wanted:
            break
        pixels, label = digits[int(len(digits) * draw.random())]
        side = _SIDES[0] + int((_SIDES[1] - _SIDES[0] + 1) * draw.random())
        left, top = (int((CANVAS - side + 1) * draw.random()) for _ in range(2))
        brightest = 140 + int(116 * draw.random())
        ink = _enlarged(pixels, side)
        rows, columns = ((ink >= _INK * ink.max()).any(axis=axis).nonzero()[0] for axis in (1, 0))
        box = (
            left + int(columns[0]),
            top + int(rows[0]),
            int(columns[-1] - columns[0]) + 1,
            int(rows[-1] - rows[0]) + 1,
        )
        if any(_overlap(box, one.box) > _OVERLAP for one in placed):
            continue
        part = canvas[top : top + side, left : left + side]
        part += np.maximum(brightest - part, 0) * ink // ink.max()
        placed.append(_Placed(label, box))
    return canvas.astype(np.uint8), placed


def _enlarged(pixels: Array, side: int) -> Array:
    """A digit, (8, 8) of 0 to 16, bilinearly at (side, side), in whole numbers so that every machine draws the same."""
    last = len(pixels) - 1
    # The centre of pixel i lies at (i + 1/2) * 8 / side - 1/2 of the digit: in fractions of 2 * side.
    places = np.clip((2 * np.arange(side, dtype=np.int64) + 1) * len(pixels) - side, 0, 2 * side * last)
    below = np.minimum(places // (2 * side), last - 1)
    share = places - 2 * side * below
    grey = pixels.astype(np.int64)
    rows = grey[below] * (2 * side - share)[:, None] + grey[below + 1] * share[:, None]
    enlarged: Array = rows[:, below] * (2 * side - share) + rows[:, below + 1] * share
    return enlarged


def _overlap(one: Sequence[int], other: Sequence[int]) -> float:
    """Of two boxes, as a share of the smaller."""
    sides = [
        min(one[axis] + one[axis + 2], other[axis] + other[axis + 2]) - max(one[axis], other[axis]) for axis in (0, 1)
    ]
    common = max(0, sides[0]) * max(0, sides[1])
    return common / min(one[2] * one[3], other[2] * other[3])
