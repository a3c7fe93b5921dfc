"""A network from its input to what it answers with, as a pruner follows its channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Followed"]


@dataclass(frozen=True, slots=True)
class Followed:
    """What is followed, and where it ends.

    Attributes:
        module: Takes one tensor, (1, channels, height, width), and gives one or several; its layers are the network's
            own, so that what is cut here is cut there.
        answering: Layers whose outputs are answers: they keep all of them.
    """

    module: nn.Module
    answering: tuple[nn.Module, ...]
