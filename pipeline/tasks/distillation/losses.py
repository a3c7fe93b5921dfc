"""The table of losses on answers: name in a recipe to formula. A new one is one file and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.tasks.distillation.decoupled import decoupled
from pipeline.tasks.distillation.dist import relations
from pipeline.tasks.distillation.hinton import kl_to_soft_targets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

__all__ = ["LOSSES"]

LOSSES: Mapping[str, Callable[..., Tensor]] = {"kd": kl_to_soft_targets, "dist": relations, "dkd": decoupled}
