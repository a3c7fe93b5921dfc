"""How much each single weight matters, for channels that torch-pruning's graph does not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["IMPORTANCE_OF_WEIGHTS"]


def _first_order(weight: Tensor) -> Tensor:
    """Weight times gradient; a weight that the loss does not reach counts for nothing."""
    return torch.zeros_like(weight) if weight.grad is None else (weight * weight.grad).abs()


IMPORTANCE_OF_WEIGHTS: dict[str, Callable[[Tensor], Tensor]] = {
    "l1": torch.abs,
    "l2": torch.square,
    "taylor": _first_order,
}
"""By the names of :data:`pipeline.pruning.importance.criteria.CRITERIA`, from a weight to as many figures. Batch norms
say nothing here, and chance needs no weights."""
