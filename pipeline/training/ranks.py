"""The processes that train together: one, or as many as ``torchrun`` started."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import distributed

from pipeline.errors import EdgewrightError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

__all__ = ["Ranks", "peers_may_end"]


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that train together.

    Attributes:
        number: Its own, from 0: the first leaves what there is to leave.
        count: How many there are.
        on_this_host: How many of them on this machine.
    """

    number: int = 0
    count: int = 1
    on_this_host: int = 1

    @classmethod
    def here(cls) -> Self:
        """As ``torchrun`` said."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        count = distributed.get_world_size()
        return cls(distributed.get_rank(), count, int(os.environ.get("LOCAL_WORLD_SIZE", count)))

    @property
    def first(self) -> bool:
        """Whether this one leaves what there is to leave."""
        return self.number == 0

    def part(self, chunk: Tensor) -> Tensor:
        """What of a chunk of indices is this process's: each has as many, and what is over goes to nobody."""
        each = len(chunk) // self.count
        return chunk[self.number * each : (self.number + 1) * each]

    def own(self, numbers: Sequence[int]) -> list[int]:
        """Every ``count``-th of some pieces of work, from this process's own on."""
        return list(numbers[self.number :: self.count])

    def gathered(self, values: dict[int, Any]) -> dict[int, Any]:
        """What all processes have, number to value."""
        if self.count == 1:
            return values
        found: list[Any] = [None] * self.count
        with peers_may_end():
            distributed.all_gather_object(found, values)
        return {number: value for one in found for number, value in one.items()}

    def as_the_first_says(self, value: float) -> float:
        """The first process's value: what is decided by a figure is decided alike everywhere."""
        if self.count == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64)
        with peers_may_end():
            distributed.broadcast(told, src=0)
        return float(told)

    def mean(self, told: Tensor) -> Tensor:
        """The mean of a tensor over the processes, of its shape: not finite where it is not so in one of them."""
        if self.count == 1:
            return told
        with peers_may_end():
            distributed.all_reduce(told)
        return told / self.count


@contextmanager
def peers_may_end() -> Iterator[None]:
    """Say in one sentence that another process is gone, which collectives tell in the words of their transport.

    Raises:
        EdgewrightError: when it is.
    """
    try:
        yield
    except RuntimeError as error:
        if not _lost_a_peer(error):
            raise
        raise EdgewrightError(
            "another of the processes that train together has ended",
            got=str(error).strip().splitlines()[0][:200],
            fix="start the same command again: the training goes on from its last checkpoint",
        ) from error


def _lost_a_peer(error: RuntimeError) -> bool:
    text = str(error).lower()
    return isinstance(error, distributed.DistError) or any(
        words in text for words in ("connection closed by peer", "connection reset by peer", "gloo", "broken pipe")
    )
