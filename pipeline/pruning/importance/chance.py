"""Every channel matters as any other: what the other ways have to be better than."""

from __future__ import annotations

from typing import Any

__all__ = ["chance"]


def chance() -> Any:  # noqa: ANN401 - torch-pruning has no types
    """A number from 0 to 1 for each, from torch's own generator.

    The control in Mittal et al., "Recovering from Random Pruning", 2018 (arXiv:1801.10447).
    """
    import torch_pruning

    return torch_pruning.importance.RandomImportance()
