"""Two images in one: what is mixed into an image in a view is decided, as the view itself, by the two numbers alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.training.draws import uniform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from pipeline.tasks import Labels
    from pipeline.training.schedule import Augmentation

__all__ = ["MIXED_KINDS", "Mixed", "mixed", "partners"]

MIXED_KINDS = frozenset({"mixup", "cutmix"})


@dataclass(frozen=True, slots=True)
class Mixed:
    """What was mixed into the images of a batch.

    Attributes:
        labels: What is known of the images that were mixed in.
        share: What each image has of itself, from a half to 1, float32 (batch,).
    """

    labels: Labels
    share: Tensor


def partners(indices: Tensor, view: int, images: int) -> Tensor:
    """Which of the ``images`` images is mixed into each, (batch,)."""
    return torch.from_numpy(np.floor(uniform(indices, view, "partner") * images).astype(np.int64))


def mixed(
    own: Tensor, other: Tensor, indices: Tensor, view: int, kinds: Sequence[Augmentation]
) -> tuple[Tensor, Tensor]:
    """Each image with another one in it; where both kinds are asked for, half of the images get either.

    ``mixup``: Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018 (arXiv:1710.09412), equation 1.
    ``cutmix``: Yun et al., "CutMix", 2019 (arXiv:1905.04899), equation 2. Both with alpha = 1. The image whose share is
    the larger counts as the image itself: the share is drawn from a half to 1, which is the same with both exchanged.

    Args:
        own: Inputs of a network, float32 (batch, channels, height, width).
        other: Those that are mixed in, of the same shape.
        indices: Which images ``own`` are, (batch,).
        view: Of them.
        kinds: ``mixup``, ``cutmix`` or both; others are left alone.

    Returns:
        The inputs, and what each has of itself, float32 (batch,).
    """
    share = torch.from_numpy((1 + uniform(indices, view, "share")) / 2).float()
    blended = own * share[:, None, None, None] + other * (1 - share)[:, None, None, None]
    if "cutmix" not in kinds:
        return blended, share
    box = _boxes(indices, view, 1 - share, (own.shape[2], own.shape[3]))
    pasted, kept = torch.where(box[:, None], other, own), 1 - box.float().mean(dim=(1, 2))
    if "mixup" not in kinds:
        return pasted, kept
    cut = torch.from_numpy(uniform(indices, view, "kind of mix") < 0.5)
    return torch.where(cut[:, None, None, None], pasted, blended), torch.where(cut, kept, share)


def _boxes(indices: Tensor, view: int, area: Tensor, size: tuple[int, int]) -> Tensor:
    """Where each box lies, bool (batch, height, width): of that fraction of the area, what is outside cut off."""
    within = []
    for side, stream in zip(size, ("box down", "box right"), strict=True):
        centre = torch.from_numpy(uniform(indices, view, stream)).float() * side
        places = torch.arange(side) + 0.5
        within.append((places - centre[:, None]).abs() < side * area.sqrt()[:, None] / 2)
    down, right = within
    return down[:, :, None] & right[:, None, :]
