"""Layers that are not trained: they are followed, judged and cut as any others, and stay frozen."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

__all__ = ["as_if_trained"]


@contextmanager
def as_if_trained(module: nn.Module) -> Iterator[None]:
    """Within it every parameter has a gradient; those that were frozen are frozen again after.

    Also where they were cut: torch-pruning makes parameters anew, and these would be trained.

    Args:
        module: Whose parameters keep their names within.
    """
    every = module.named_parameters(remove_duplicate=False)
    frozen = [name for name, parameter in every if not parameter.requires_grad]
    try:
        for name in frozen:
            parameter = module.get_parameter(name)
            parameter.requires_grad_(parameter.is_floating_point())
        yield
    finally:
        for name in frozen:
            module.get_parameter(name).requires_grad_(False)
