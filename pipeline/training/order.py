"""Which images each step of a training sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.training.ranks import Ranks

__all__ = ["Order"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """The images in another order in every epoch, decided by seed and epoch alone.

    Attributes:
        labels: Of all images, (n,).
        batch_size: Images a step of each process.
        seed: Of the order.
        balanced: Whether the classes are drawn alike often, images with replacement; else each image comes once.
        ranks: Who shares the steps.
    """

    labels: Tensor
    batch_size: int
    seed: int
    balanced: bool
    ranks: Ranks

    @property
    def steps(self) -> int:
        """Of an epoch. Batch norm cannot learn from one image: a rest that leaves a process one or none is left out."""
        full, rest = divmod(len(self.labels), self.batch_size * self.ranks.count)
        return full + (rest // self.ranks.count > 1)

    def epoch(self, number: int, *, after: int = 0) -> Tensor:
        """This process's images of an epoch: ``batch_size`` indices a step, the last step may have fewer.

        Args:
            number: Of the epoch, from 0.
            after: Steps of it that are done already.
        """
        draw = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        if self.balanced:
            weights = 1 / torch.bincount(self.labels).double()[self.labels]
            order = torch.multinomial(weights, len(self.labels), replacement=True, generator=draw)
        else:
            order = torch.randperm(len(self.labels), generator=draw)
        chunks: tuple[Tensor, ...] = torch.split(order, self.batch_size * self.ranks.count)
        return torch.cat([self.ranks.part(chunk) for chunk in chunks[after : self.steps]] or [order[:0]])
