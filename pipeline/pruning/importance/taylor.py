"""A channel matters as much as the loss would change without it, to first order."""

from __future__ import annotations

from typing import Any

__all__ = ["taylor"]


def taylor() -> Any:  # noqa: ANN401 - torch-pruning has no types
    """Weight times gradient over the group, absolute; the network has to hold gradients of its loss.

    Molchanov et al., "Importance Estimation for Neural Network Pruning", 2019 (arXiv:1906.10771), equation 8.
    """
    import torch_pruning

    return torch_pruning.importance.GroupTaylorImportance()
