"""What a detector said, made small: its likeliest boxes in 16 bits a number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from pipeline.session import Outputs

__all__ = ["detections_of", "kept_detections", "renumbered"]

_MOST = 100
"""Detections of an image, the likeliest: as many as COCO's metric looks at."""
_LEAST = 0.05
"""Less likely ones are not kept."""


def kept_detections(found: Sequence[Outputs], size: tuple[int, int]) -> dict[str, Tensor]:
    """Made small, and rectangular: what is no detection has the score 0.

    Args:
        found: Boxes (k, 4) xyxy in pixels of the input, scores (k,) and labels (k,) from 1, of each image.
        size: Height and width of the input, pixels.

    Returns:
        ``boxes`` float16 (images, 100, 4), as fractions of the input's sides; ``scores`` float16 (images, 100);
        ``classes`` int16 (images, 100), counted from 0.
    """
    height, width = size
    boxes, scores = np.zeros((len(found), _MOST, 4), np.float16), np.zeros((len(found), _MOST), np.float16)
    classes = np.zeros((len(found), _MOST), np.int16)
    for image, (places, likely, labels) in enumerate(found):
        order = np.argsort(-likely, kind="stable")[:_MOST]
        order = order[likely[order] >= _LEAST]
        boxes[image, : len(order)] = places[order] / [width, height, width, height]
        scores[image, : len(order)], classes[image, : len(order)] = likely[order], labels[order] - 1
    return {name: torch.from_numpy(one) for name, one in (("boxes", boxes), ("scores", scores), ("classes", classes))}


def detections_of(kept: Mapping[str, Tensor], size: tuple[int, int]) -> list[Outputs]:
    """The detections of each image again: boxes float64 (k, 4) in pixels, scores (k,), classes (k,) from 0.

    Args:
        kept: As of :func:`kept_detections`.
        size: Height and width of the input, pixels.
    """
    height, width = size
    boxes, scores, classes = (kept[name].numpy() for name in ("boxes", "scores", "classes"))
    found: list[Outputs] = []
    for places, likely, labels in zip(boxes, scores, classes, strict=True):
        there = likely > 0
        pixels = places[there].astype(np.float64) * [width, height, width, height]
        found.append((pixels, likely[there].astype(np.float64), labels[there].astype(np.int64)))
    return found


def renumbered(kept: Mapping[str, Tensor], numbers: Sequence[int | None]) -> dict[str, Tensor]:
    """The detections with other numbers of their classes.

    Args:
        kept: As of :func:`kept_detections`.
        numbers: The new one of each class; None: those of that class are no detections any more.

    Raises:
        KeyError, IndexError: when something is lacking, or is of a class without a number.
    """
    table = torch.tensor([-1 if number is None else number for number in numbers], dtype=torch.int16)
    classes = table[kept["classes"].long()]
    scores = torch.where(classes >= 0, kept["scores"], 0)
    return {"boxes": kept["boxes"], "scores": scores, "classes": classes.clamp(min=0)}
