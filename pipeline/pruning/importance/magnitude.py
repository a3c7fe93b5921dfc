"""A channel matters as much as its weights are large."""

from __future__ import annotations

from typing import Any

__all__ = ["l1", "l2"]


def l1() -> Any:  # noqa: ANN401 - torch-pruning has no types
    """Sum of the absolute weights: Li et al., "Pruning Filters for Efficient ConvNets", 2017 (arXiv:1608.08710)."""
    import torch_pruning

    return torch_pruning.importance.GroupMagnitudeImportance(p=1)


def l2() -> Any:  # noqa: ANN401 - as above
    """Sum of the squared weights over the group, relative to the group's mean.

    Fang et al., "DepGraph: Towards Any Structural Pruning", 2023 (arXiv:2301.12900), section 3.3, without its sparse
    training.
    """
    import torch_pruning

    return torch_pruning.importance.GroupMagnitudeImportance(p=2)
