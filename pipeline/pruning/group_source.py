"""Channels that can only go together, and what finds and cuts them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["ChannelGroup", "GroupSource"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelGroup:
    """Channels of coupled layers.

    Attributes:
        root: Name of the layer that stands for them.
        channels: How many.
        scores: How much each matters, (channels / copies,): relative to the group's mean, except by chance.
        copies: Channels go so many at once: one of each part of a grouped convolution, or a whole attention head.
        kind: Groups of the same kind are built alike: the same layers are coupled in the same way.
        makes: Layers whose outputs these are.
        takes: Layers whose inputs these are, each with the fraction of its inputs: behind a concatenation they are a
            part of them.
    """

    root: str
    channels: int
    scores: Tensor
    copies: int
    kind: str
    makes: tuple[str, ...]
    takes: Mapping[str, float]


class GroupSource(Protocol):
    """Finds groups in a network, or in a part of it, and cuts them.

    Attributes:
        staying: Roots of groups that were found not to go together as it seemed.
    """

    staying: tuple[str, ...]

    def groups(self) -> list[ChannelGroup]:
        """All whose channels may go, with scores of the weights as they are."""
        ...

    def cut(self, kept: Mapping[str, int]) -> None:
        """Leave so many channels of each named group, those with the highest scores; names of others are ignored."""
        ...
