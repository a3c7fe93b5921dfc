"""What is left to do with a detector's candidates: a network's own thresholds, as a record."""

from __future__ import annotations

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

    Raises:
        UsageError: for a network without the three attributes ``score_thresh``, ``nms_thresh``, ``detections_per_img``.
    """
    from pipeline.models.raw_detector import kind_of

    says: Any = getattr(network, "roi_heads", network)
    try:
        return PostProcess(
            score=float(says.score_thresh), iou=float(says.nms_thresh), most=int(says.detections_per_img)
        )
    except AttributeError as error:
        raise UsageError(
            "this network does not say what is a detection",
            where=kind_of(network),
            got=str(error),
            expected="attributes score_thresh, nms_thresh and detections_per_img, as torchvision's detectors have them",
        ) from error
