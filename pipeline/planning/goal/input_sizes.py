"""Which smaller inputs a network can be tried with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.models.build import check_outputs

if TYPE_CHECKING:
    from torch import nn

__all__ = ["smaller_sizes"]

_SHARES = (0.875, 0.75, 0.5)
"""Of each side: three quarters, a good half and a quarter of the pixels."""
_STEPS_A_SIDE = 7
"""A side is a multiple of the largest power of two that goes into it so often: of 32 for 224, 4 for 32 pixels."""


def smaller_sizes(network: nn.Module, shape: tuple[int, ...], *, classes: int, trained: bool) -> list[tuple[int, int]]:
    """Height and width of smaller inputs that the network answers to, the largest first.

    Args:
        network: Its mode is as before afterwards.
        shape: Of its input, (batch, channels, height, width).
        classes: It answers with so many numbers.
        trained: Whether it will be trained at that size.
    """
    batch, channels, height, width = shape
    sizes = [(_shrunk(height, share), _shrunk(width, share)) for share in _SHARES]
    return [
        size
        for size in dict.fromkeys(sizes)
        if size != (height, width) and _answers(network, (batch, channels, *size), classes=classes, trained=trained)
    ]


def _shrunk(side: int, share: float) -> int:
    step = 1 << max(0, (side // _STEPS_A_SIDE).bit_length() - 1)
    return max(step, round(side * share / step) * step)


def _answers(network: nn.Module, shape: tuple[int, ...], *, classes: int, trained: bool) -> bool:
    """Whether there is an answer: some networks take one size alone, of others no pixel would be left in the end."""
    try:
        check_outputs(network, shape, classes=classes, trained=trained)
    except UsageError:
        return False
    return True
