"""Which images each step of a training sees."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from pipeline.training.ranks import Ranks

__all__ = ["Order"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """The images in another order in every epoch, decided by seed and epoch alone.

    Attributes:
        classes: Of all that is known of each image.
        batch_size: Images a step of each process.
        seed: Of the order.
        balanced: Whether the classes are drawn alike often, images with replacement; else each image comes once.
        ranks: Who shares the steps.
    """

    classes: Sequence[tuple[int, ...]]
    batch_size: int
    seed: int
    balanced: bool
    ranks: Ranks

    @property
    def steps(self) -> int:
        """Of an epoch. Batch norm cannot learn from one image: a rest that leaves a process one or none is left out."""
        full, rest = divmod(len(self.classes), self.batch_size * self.ranks.count)
        return full + (rest // self.ranks.count > 1)

    def epoch(self, number: int, *, after: int = 0) -> Tensor:
        """This process's images of an epoch: ``batch_size`` indices a step, the last step may have fewer.

        Args:
            number: Of the epoch, from 0.
            after: Steps of it that are done already.
        """
        draw = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        if self.balanced:
            weights = torch.tensor(self._weights(), dtype=torch.float64)
            order = torch.multinomial(weights, len(self.classes), replacement=True, generator=draw)
        else:
            order = torch.randperm(len(self.classes), generator=draw)
        chunks: tuple[Tensor, ...] = torch.split(order, self.batch_size * self.ranks.count)
        return torch.cat([self.ranks.part(chunk) for chunk in chunks[after : self.steps]] or [order[:0]])

    def _weights(self) -> list[float]:
        """One over the images of the class; of several classes that of the rarest, of none that of the commonest."""
        counts = Counter(label for labels in self.classes for label in set(labels))
        commonest = max(counts.values(), default=1)
        return [1 / min((counts[label] for label in labels), default=commonest) for labels in self.classes]
