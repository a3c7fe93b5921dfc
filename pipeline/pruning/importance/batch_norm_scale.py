"""A channel matters as much as its batch norm scales it."""

from __future__ import annotations

from typing import Any

__all__ = ["batch_norm_scale"]


def batch_norm_scale() -> Any:  # noqa: ANN401 - torch-pruning has no types
    """The factors of the group's batch norms; groups without one stay as they are.

    Liu et al., "Learning Efficient Convolutional Networks through Network Slimming", 2017 (arXiv:1708.06519), without
    its penalty on the factors.
    """
    import torch_pruning

    return torch_pruning.importance.BNScaleImportance()
