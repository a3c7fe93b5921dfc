"""PKD: a student's feature maps follow the teacher's pattern, whatever their size."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["uncorrelated"]

_TINY = 1e-6


def uncorrelated(student: Tensor, teacher: Tensor) -> Tensor:
    """One minus Pearson's correlation of each channel over all images and positions, in the mean; a scalar.

    Cao et al., "PKD: General Distillation Framework for Object Detectors via Pearson Correlation Coefficient", 2022
    (arXiv:2207.02039), section 3: half the mean squared difference of features of mean 0 and deviation 1, which is the
    same. No channel, level or teacher of large values drowns the others, and what is the same everywhere, as the ground
    is, counts for little: no mask of the foreground is needed.

    Args:
        student: (batch, channels, height, width).
        teacher: Of the same shape.
    """
    return (_standardised(student) - _standardised(teacher)).pow(2).mean() / 2


def _standardised(features: Tensor) -> Tensor:
    """Channel by channel mean 0 and deviation 1, (channels, batch * height * width)."""
    rows = features.transpose(0, 1).flatten(start_dim=1)
    centred = rows - rows.mean(dim=1, keepdim=True)
    return centred / (centred.pow(2).mean(dim=1, keepdim=True) + _TINY).sqrt()
