"""Batch norms that never learn, as torchvision's detectors have them: their channels are buffers, not parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch_pruning.pruner.function import BasePruningFunc
from torchvision.ops import FrozenBatchNorm2d

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FROZEN_BATCH_NORMS"]


class _FrozenBatchNormPruner(BasePruningFunc):  # type: ignore[misc] # torch-pruning has no types
    """Cuts them; what comes in is what goes out."""

    def prune_out_channels(self, layer: Any, idxs: Sequence[int]) -> Any:  # noqa: ANN401 - torchvision has no types
        """Take channels out of all four buffers, in place."""
        kept = torch.ones(self.get_out_channels(layer), dtype=torch.bool)
        kept[list(idxs)] = False
        for name, buffer in layer.named_buffers(recurse=False):
            setattr(layer, name, buffer[kept])
        return layer

    prune_in_channels = prune_out_channels

    def get_out_channels(self, layer: Any) -> int:  # noqa: ANN401 - as above
        """How many."""
        return len(layer.weight)

    get_in_channels = get_out_channels


FROZEN_BATCH_NORMS = {FrozenBatchNorm2d: _FrozenBatchNormPruner()}
"""For torch-pruning's ``customized_pruners``."""
