"""The ways by their names in a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.pruning.importance.batch_norm_scale import batch_norm_scale
from pipeline.pruning.importance.chance import chance
from pipeline.pruning.importance.magnitude import l1, l2
from pipeline.pruning.importance.taylor import taylor

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CRITERIA", "NEED_GRADIENTS"]

CRITERIA: dict[str, Callable[[], Any]] = {
    "l1": l1,
    "l2": l2,
    "bn-scale": batch_norm_scale,
    "taylor": taylor,
    "random": chance,
}
NEED_GRADIENTS = frozenset({"taylor"})
"""Those that look at the gradients of the loss on training images."""
