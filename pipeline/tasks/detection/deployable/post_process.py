"""What is left to do with a detector's candidates: a network's own thresholds, as a record."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["PostProcess", "post_process"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PostProcess:
    """From candidates to detections.

    Attributes:
        score: Candidates of a higher score are looked at, 0 to 1.
        iou: Of two boxes of one class that overlap by more, the less likely one goes; intersection over union, 0 to 1.
        most: Detections of an image at most; the likeliest stay.
    """

    score: float
    iou: float
    most: int


def post_process(network: nn.Module) -> PostProcess:
    """As a detector of torchvision's interface says of itself, where Faster R-CNN says it of its second stage.

    Thresholds beyond 0 to 1, which keep everything, keep it as 0 and 1.

    Raises:
        UsageError: for a network without the three attributes ``score_thresh``, ``nms_thresh``, ``detections_per_img``,
            or with one that is no number, and where nothing is to be left.
    """
    from pipeline.models.raw_detector import kind_of

    says: Any = getattr(network, "roi_heads", network)
    try:
        score, iou, most = float(says.score_thresh), float(says.nms_thresh), int(says.detections_per_img)
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise UsageError(
            "this network does not say what is a detection",
            where=kind_of(network),
            got=str(error),
            expected="attributes score_thresh, nms_thresh and detections_per_img, as torchvision's detectors have them",
        ) from error
    if math.isnan(score) or math.isnan(iou) or most < 1:
        raise UsageError(
            "this network finds nothing, whatever is on an image",
            where=kind_of(network),
            got=f"score_thresh {score:g}, nms_thresh {iou:g}, detections_per_img {most}",
            expected="thresholds that are numbers, and one detection an image at least",
        )
    return PostProcess(score=min(1.0, max(0.0, score)), iou=min(1.0, max(0.0, iou)), most=most)
