"""BCKD's part about classes: every class at every place is a question of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["binary_scores"]

_TINY = 1e-12
_ALMOST_ONE = 1 - 1e-7


def binary_scores(student: Tensor, teacher: Tensor) -> Tensor:
    """Binary cross entropy of each class, weighed by how far apart both are, added up over the classes; (...).

    Yang et al., "Bridging Cross-task Protocol Inconsistency for Distillation in Dense Object Detection", 2023
    (arXiv:2308.14286), section 3.2, "binary classification distillation loss". A dense detector's classes do not
    compete with each other, nor does the ground with them: a softmax over them, as classifiers are distilled by, would
    compare what no detector decides by. Where both agree, as on nearly all of the ground, nothing is counted.

    Args:
        student: How likely each class is, 0 to 1, (..., classes).
        teacher: Likewise, of the same shape.
    """
    likely = student.clamp(_TINY, _ALMOST_ONE)
    entropy = -(teacher * likely.log() + (1 - teacher) * (1 - likely).log())
    return (entropy * (teacher - student).abs()).sum(dim=-1)
