"""Which smaller inputs a network can be tried with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from pipeline.subject import Parts

__all__ = ["smaller_sizes"]

_SHARES = (0.875, 0.75, 0.5)
"""Of each side: three quarters, a good half and a quarter of the pixels."""
_STEPS_A_SIDE = 7
"""A side is a multiple of the largest power of two that goes into it so often: of 32 for 224, 4 for 32 pixels."""


def smaller_sizes(network: nn.Module, parts: Parts) -> list[tuple[int, int]]:
    """Height and width of smaller inputs that the network answers to, the largest first.

    Args:
        network: Its mode is as before afterwards.
        parts: What the run is about.
    """
    whole = parts.preprocess.size
    sizes = dict.fromkeys((_shrunk(whole[0], share), _shrunk(whole[1], share)) for share in _SHARES)
    return [size for size in sizes if size != whole and _answers(network, parts, size)]


def _shrunk(side: int, share: float) -> int:
    step = 1 << max(0, (side // _STEPS_A_SIDE).bit_length() - 1)
    return max(step, round(side * share / step) * step)


def _answers(network: nn.Module, parts: Parts, size: tuple[int, int]) -> bool:
    """Whether there is an answer: some networks take one size alone, of others no pixel would be left in the end."""
    shape, classes = parts.preprocess.at(size).shape, len(parts.dataset.classes)
    try:
        parts.task.check(network, shape, classes=classes, trained=bool(parts.dataset.train))
    except UsageError:
        return False
    return True
