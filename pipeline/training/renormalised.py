"""What a student is fed, as one of its teachers wants it, which runs beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.preprocess import Renormalisation

__all__ = ["renormalised"]


def renormalised(inputs: Tensor, change: Renormalisation | None) -> Tensor:
    """Inputs (batch, channels, height, width) normalised otherwise; None: as they are."""
    if change is None:
        return inputs
    scale, offset = (inputs.new_tensor(one)[:, None, None] for one in (change.scale, change.offset))
    return inputs * scale + offset
