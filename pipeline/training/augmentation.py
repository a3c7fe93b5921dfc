"""What changes from one view of an image to the next: decided by the image and the number of the view alone.

So that a view can be made again whenever it is wanted: teachers are asked once about a view that the student meets in
many epochs, and a training that was killed goes on with the very same pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pipeline.training.draws import hashed, uniform

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from pipeline.training.schedule import Augmentation

__all__ = ["augmented"]

_FROM_THE_LIBRARY = frozenset({"colour", "erase", "randaugment", "trivialaugment"})
_REACH = 8
"""A shift is at most this fraction of the side."""


def augmented(pixels: Tensor, indices: Tensor, view: int, kinds: Sequence[Augmentation]) -> Tensor:
    """A view of each image; view 0 is one as any other.

    Args:
        pixels: uint8, (batch, channels, height, width).
        indices: Which image of the split each is, (batch,).
        view: Its number, from 0.
        kinds: ``flip`` mirrors half of them; ``shift`` moves them by up to an eighth, their edges repeated; ``colour``
            changes brightness, contrast and saturation; ``erase`` blanks a rectangle; ``randaugment`` and
            ``trivialaugment`` are torchvision's. Those that mix two images are seen to in
            :mod:`pipeline.training.mixing`.

    Returns:
        uint8, of the same shape.
    """
    if "flip" in kinds:
        mirrored = torch.from_numpy(uniform(indices, view, "flip") < 0.5)
        pixels = torch.where(mirrored[:, None, None, None], pixels.flip(-1), pixels)
    if "shift" in kinds:
        pixels = _shifted(pixels, indices, view)
    library = [kind for kind in kinds if kind in _FROM_THE_LIBRARY]
    return _by_library(pixels, indices, view, library) if library else pixels


def _shifted(pixels: Tensor, indices: Tensor, view: int) -> Tensor:
    for dim, name in ((2, "down"), (3, "right")):
        side = pixels.shape[dim]
        reach = max(1, side // _REACH)
        moves = np.floor(uniform(indices, view, name) * (2 * reach + 1)).astype(np.int64) - reach
        places = (torch.arange(side) + torch.from_numpy(moves)[:, None]).clamp(0, side - 1)
        places = places[:, None, :, None] if dim == 2 else places[:, None, None, :]
        pixels = pixels.gather(dim, places.expand_as(pixels))
    return pixels


def _by_library(pixels: Tensor, indices: Tensor, view: int, kinds: Sequence[Augmentation]) -> Tensor:
    from torchvision.transforms import v2

    made: dict[str, Callable[[], Any]] = {
        "colour": lambda: v2.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4),
        "erase": lambda: v2.RandomErasing(p=0.25),
        "randaugment": v2.RandAugment,
        "trivialaugment": v2.TrivialAugmentWide,
    }
    # Rectangles are blanked last, or the others would fill them again.
    transform = v2.Compose([made[kind]() for kind in sorted(kinds, key=lambda kind: kind == "erase")])
    seeds = hashed(indices, view, "library")
    with torch.random.fork_rng(devices=[]):
        rows = []
        for row, seed in zip(pixels, seeds.tolist(), strict=True):
            torch.manual_seed(seed >> 1)
            rows.append(transform(row))
    return torch.stack(rows)
