"""In what losses between networks are computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["at_least_single"]


def at_least_single(values: Tensor) -> Tensor:
    """The values in 32 bits, or in as many as they have.

    Autocast leaves softmax, its logarithm, squares and means in bfloat16 on CPUs: gradients are several percent off.
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
