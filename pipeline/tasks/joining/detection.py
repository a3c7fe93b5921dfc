"""What several detectors say together: their detections, fused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.tasks.detection.distillation.fusion import weighted_box_fusion
from pipeline.tasks.reading.detection import detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.artifact import Json
    from pipeline.session import Outputs

__all__ = ["joined"]


def joined(outputs: Sequence[Outputs], answers: Sequence[Json]) -> Outputs:
    """Candidates of the form that the first member's have; those that are none have the score 0.

    Args:
        outputs: Boxes (1, k, 4), scores (1, k) and labels (1, k) of each member's candidates.
        answers: The thresholds of each, as of :meth:`pipeline.tasks.Task.told_with`.
    """
    found = [
        detections(boxes[0], scores[0], labels[0], **said)
        for (boxes, scores, labels), said in zip(outputs, answers, strict=True)
    ]
    whole = tuple(np.zeros_like(one) for one in outputs[0])
    for into, fused in zip(whole, weighted_box_fusion(found), strict=True):
        count = min(into.shape[1], len(fused))
        into[0, :count] = fused[:count]
    return whole
