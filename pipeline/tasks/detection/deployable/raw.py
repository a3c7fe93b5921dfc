"""A user's network of raw outputs with static shapes: what its decoding gives, and the likeliest of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pipeline.tasks.detection.deployable.candidates import likeliest_places
from pipeline.tasks.detection.deployable.geometry import clipped, image_border

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RawForm"]


class RawForm(nn.Module):
    """Of every place its likeliest class, the likeliest places; the network keeps its name.

    Args:
        network: The :class:`~pipeline.models.raw_detector.RawDetector`, in eval mode; its weights are shared.
        size: Height and width of the one image it takes.
        channels: Of that image.

    Attributes:
        classes: How many it can name; labels are 1 to that.
    """

    border: Tensor

    def __init__(self, network: Any, size: tuple[int, int], channels: int = 3) -> None:  # noqa: ANN401 - one of a table of kinds
        super().__init__()
        self.module = network.module
        self._decoded = network.decoded
        self._most = int(network.topk_candidates)
        device = next(network.parameters()).device
        with torch.no_grad():
            _, scores = self._decoded(self.module(torch.zeros(1, channels, *size, device=device)))
        self.classes = int(scores.shape[2])
        self.register_buffer("border", image_border(size).to(device), persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (1, k, 4), scores (1, k), labels (1, k) of a normalised image (1, channels, height, width)."""
        boxes, scores = (one[0] for one in self._decoded(self.module(image)))
        highest, places, labels = likeliest_places(scores, self._most)
        placed = clipped(boxes.index_select(0, places), self.border)
        return placed[None], highest[None], labels[None]
