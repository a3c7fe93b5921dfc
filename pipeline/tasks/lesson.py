"""What a part of a network learns before the whole network does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pipeline.tasks.task import Task

__all__ = ["Lesson"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """Something easier, for which there is more to see in the same time.

    Attributes:
        network: What is trained: it shares the part with the whole network.
        task: Of that training.
        pixels: What it sees, uint8 (n, channels, height, width).
        labels: What that is, int64 (n,).
        told: What it was, for people.
    """

    network: nn.Module
    task: Task
    pixels: Tensor
    labels: Tensor
    told: str
