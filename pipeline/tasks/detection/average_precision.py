"""COCO's average precision: the figures by pycocotools, and from what each image contributed to them.

Lin et al., "Microsoft COCO: Common Objects in Context", 2014 (arXiv:1405.0312); https://cocodataset.org/#detection-eval.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.artifact import Json
    from pipeline.data.boxes import Objects
    from pipeline.session import Array

__all__ = ["CocoFigures", "Found", "coco_figures", "precision_of"]

_NAMES = ("AP", "AP50", "AP75", "AP small", "AP medium", "AP large")
_RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, slots=True)
class Found:
    """What a detector says of one image: boxes (k, 4) xyxy in its pixels, scores (k,), class indices (k,)."""

    boxes: Array
    scores: Array
    classes: Array


@dataclass(frozen=True, kw_only=True, slots=True)
class CocoFigures:
    """What pycocotools says.

    Attributes:
        figures: ``AP`` (the mean over thresholds of intersection over union from 0.50 to 0.95), ``AP50``, ``AP75``, and
            ``AP small``, ``AP medium``, ``AP large`` where there are objects of that size; fractions of 1.
        per_image: What each image contributed: ``found``, a row for each of its at most 100 detections, and ``there``,
            the classes of its objects. A row is the class, the score, and two whole numbers with a bit for each of the
            ten thresholds: whether the detection is of an object, and whether it does not count, being of a crowd
            or of something difficult.
    """

    figures: dict[str, float]
    per_image: tuple[Json, ...]


def coco_figures(found: Sequence[Found], truth: Sequence[Objects], *, classes: int) -> CocoFigures:
    """Score detections.

    Args:
        found: On each image.
        truth: Of the same images, in the same order.
        classes: How many there are.

    Raises:
        DataError: when there is no object on any image.
    """
    if not any(objects.any_counts for objects in truth):
        raise DataError(
            "there is nothing to find on the images that are scored",
            got=f"{len(truth)} images without an object that has to be found",
            fix="score images on which there are objects",
        )
    evaluated = _evaluated(_truth_document(truth, classes), _found_document(found, len(truth), classes))
    figures = {name: float(value) for name, value in zip(_NAMES, evaluated.stats, strict=False) if value >= 0}
    return CocoFigures(figures=figures, per_image=_contributions(evaluated, len(truth)))


def _evaluated(truth: dict[str, Any], found: dict[str, Any]) -> Any:  # noqa: ANN401 - COCOeval, which has no types
    from pycocotools.coco import COCO

    from pipeline.tasks.detection.coco_evaluation import CocoEvaluation

    with contextlib.redirect_stdout(io.StringIO()):
        documents = [COCO(), COCO()]
        for one, content in zip(documents, (truth, found), strict=True):
            one.dataset = content
            one.createIndex()
        evaluated = CocoEvaluation(*documents, iouType="bbox")
        evaluated.evaluate()
        evaluated.accumulate()
        evaluated.summarize()
    return evaluated


def _truth_document(truth: Sequence[Objects], classes: int) -> dict[str, Any]:
    boxes = [(image, box) for image, objects in enumerate(truth) for box in objects.boxes]
    return _document(len(truth), classes) | {
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": box.label,
                "bbox": [box.left, box.top, box.right - box.left, box.bottom - box.top],
                "area": box.covered,
                "iscrowd": int(not box.counts),
                "difficult": box.difficult,
            }
            for number, (image, box) in enumerate(boxes, 1)
        ]
    }


def _found_document(found: Sequence[Found], images: int, classes: int) -> dict[str, Any]:
    rows = [
        (image, label, score, box)
        for image, one in enumerate(found)
        for label, score, box in zip(one.classes.tolist(), one.scores.tolist(), one.boxes.tolist(), strict=True)
    ]
    return _document(images, classes) | {
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": label,
                "bbox": [left, top, right - left, bottom - top],
                "area": (right - left) * (bottom - top),
                "iscrowd": 0,
                "score": score,
            }
            for number, (image, label, score, (left, top, right, bottom)) in enumerate(rows, 1)
        ]
    }


def _document(images: int, classes: int) -> dict[str, Any]:
    return {"images": [{"id": one} for one in range(images)], "categories": [{"id": one} for one in range(classes)]}


def _contributions(evaluated: Any, images: int) -> tuple[Json, ...]:  # noqa: ANN401 - COCOeval
    """From its notes on every image and class, for objects of all sizes."""
    everything, most = evaluated.params.areaRng[0], evaluated.params.maxDets[-1]
    found: list[list[Json]] = [[] for _ in range(images)]
    there: list[list[int]] = [[] for _ in range(images)]
    for note in evaluated.evalImgs:
        if note is None or note["aRng"] != everything:
            continue
        image, label = int(note["image_id"]), int(note["category_id"])
        hits, ignored = _bits(note["dtMatches"] > 0), _bits(note["dtIgnore"] > 0)
        rows = zip(note["dtScores"][:most], hits, ignored, strict=False)
        found[image] += [[label, float(score), int(hit), int(left_out)] for score, hit, left_out in rows]
        there[image] += [label] * int((np.asarray(note["gtIgnore"]) == 0).sum())
    return tuple({"found": rows, "there": sorted(labels)} for rows, labels in zip(found, there, strict=True))


def _bits(flags: Array) -> Array:
    """A whole number for each column of (thresholds, detections), the first threshold its lowest bit."""
    numbers: Array = (np.asarray(flags, dtype=np.int64) << np.arange(len(flags))[:, None]).sum(axis=0)
    return numbers


def precision_of(per_image: Sequence[Json], thresholds: int = 10) -> Callable[[Sequence[int]], float]:
    """A function from how often each image counts to the average precision; 0 where no object counts.

    With every image once it is COCO's AP to the last digits. An image that counts twice has each of its detections
    counted twice at one place of the ranking.

    Args:
        per_image: As of :class:`CocoFigures`.
        thresholds: Of intersection over union: the first of the ten.
    """
    images = np.array([number for number, one in enumerate(per_image) for _ in one["found"]], dtype=np.int64)
    rows = np.array([row for one in per_image for row in one["found"]], dtype=np.float64).reshape(-1, 4)
    owners = np.array([number for number, one in enumerate(per_image) for _ in one["there"]], dtype=np.int64)
    there = np.array([label for one in per_image for label in one["there"]], dtype=np.int64)
    ranked = np.argsort(-rows[:, 1], kind="mergesort")
    images, rows = images[ranked], rows[ranked]
    bits = np.arange(thresholds)[:, None]
    hits, ignored = (((rows[:, column].astype(np.int64)[None] >> bits) & 1).astype(bool) for column in (2, 3))
    by_class = [
        (images[mine], (hits & ~ignored)[:, mine], (~hits & ~ignored)[:, mine], owners[there == label])
        for label in np.unique(there)
        for mine in [rows[:, 0] == label]
    ]

    def average(times: Sequence[int]) -> float:
        counted = np.asarray(times, dtype=np.float64)
        precisions = [
            _average_precision(right * counted[where], wrong * counted[where], float(counted[owned].sum()))
            for where, right, wrong, owned in by_class
            if counted[owned].any()
        ]
        return float(np.mean(precisions)) if precisions else 0.0

    return average


def _average_precision(right: Array, wrong: Array, objects: float) -> float:
    """Of one class, the mean over thresholds: precision at 101 recalls, as pycocotools accumulates it.

    Args:
        right: How much each detection counts as a hit, (thresholds, detections), the likeliest first.
        wrong: As a false alarm.
        objects: How many there are.
    """
    hits, alarms = right.cumsum(axis=1), wrong.cumsum(axis=1)
    recall = hits / objects
    precision = hits / (hits + alarms + np.spacing(1))
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    total = 0.0
    for reached, best in zip(recall, envelope, strict=True):
        places = np.searchsorted(reached, _RECALLS, side="left")
        total += float(best[places[places < len(best)]].sum()) / len(_RECALLS)
    return total / len(recall)
