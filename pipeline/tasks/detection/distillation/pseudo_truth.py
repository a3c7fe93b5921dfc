"""What teachers are sure of, taken for the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pipeline.tasks.detection.box_labels import BoxLabels
from pipeline.tasks.detection.distillation.fusion import weighted_box_fusion
from pipeline.tasks.detection.distillation.kept_detections import detections_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

__all__ = ["pseudo_truth"]

_SURE = 0.5
"""Of the fused score: with several teachers, most of them have to be."""


def pseudo_truth(
    teachers: Sequence[Mapping[str, Tensor]], size: tuple[int, int], weights: Sequence[float] | None = None
) -> BoxLabels:
    """The boxes that the teachers together are sure of, fused.

    Args:
        teachers: What each says of some images, as of
            :func:`~pipeline.tasks.detection.distillation.kept_detections.kept_detections`.
        size: Height and width of the input, pixels.
        weights: Of each teacher; None: alike.
    """
    by_teacher = [detections_of(said, size) for said in teachers]
    boxes, classes = [], []
    for members in zip(*by_teacher, strict=True):
        places, scores, labels = weighted_box_fusion(members, weights)
        sure = scores >= _SURE
        boxes.append(torch.from_numpy(places[sure]).float())
        classes.append(torch.from_numpy(labels[sure]))
    return BoxLabels(tuple(boxes), tuple(classes)).within(size)
