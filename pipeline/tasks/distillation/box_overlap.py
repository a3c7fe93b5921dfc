"""BCKD's part about boxes: the student's follow the teacher's where both do not yet say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["box_overlap"]


def box_overlap(student: Tensor, teacher: Tensor, apart: Tensor) -> Tensor:
    """One minus the overlap of both boxes of a place, weighed by how far apart the scores there are, (places,).

    Yang et al., "Bridging Cross-task Protocol Inconsistency for Distillation in Dense Object Detection", 2023
    (arXiv:2308.14286), section 3.3, "IoU-based localization distillation loss". It asks for no distributions, and so
    serves heads of every kind. The overlap is the generalised one, as in the authors' code: of boxes that do not meet,
    its slope does not vanish.

    Args:
        student: Boxes, (places, 4) xyxy.
        teacher: Likewise.
        apart: The largest difference of any class's likelihood at each place, (places,); is not learned through.
    """
    from torchvision.ops import generalized_box_iou_loss

    distances: Tensor = generalized_box_iou_loss(student, teacher)
    return distances * apart.detach()
