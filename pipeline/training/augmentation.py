"""What changes from one view of an image to the next: decided by the image and the number of the view alone.

So that a view can be made again whenever it is wanted: teachers are asked once about a view that the student meets in
many epochs, and a training that was killed goes on with the very same pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from pipeline.training.schedule import Augmentation

__all__ = ["augmented"]

_REACH = 8
"""A shift is at most this fraction of the side."""
_STREAMS = {"flip": 1, "down": 2, "right": 3, "library": 4}
_MASK = (1 << 64) - 1


def augmented(pixels: Tensor, indices: Tensor, view: int, kinds: Sequence[Augmentation]) -> Tensor:
    """A view of each image; view 0 is one as any other.

    Args:
        pixels: uint8, (batch, channels, height, width).
        indices: Which image of the split each is, (batch,).
        view: Its number, from 0.
        kinds: ``flip`` mirrors half of them; ``shift`` moves them by up to an eighth, their edges repeated; ``colour``
            changes brightness, contrast and saturation; ``erase`` blanks a rectangle; ``randaugment`` and
            ``trivialaugment`` are torchvision's.

    Returns:
        uint8, of the same shape.
    """
    if "flip" in kinds:
        mirrored = torch.from_numpy(_uniform(indices, view, "flip") < 0.5)
        pixels = torch.where(mirrored[:, None, None, None], pixels.flip(-1), pixels)
    if "shift" in kinds:
        pixels = _shifted(pixels, indices, view)
    library = [kind for kind in kinds if kind not in {"flip", "shift"}]
    return _by_library(pixels, indices, view, library) if library else pixels


def _shifted(pixels: Tensor, indices: Tensor, view: int) -> Tensor:
    for dim, name in ((2, "down"), (3, "right")):
        side = pixels.shape[dim]
        reach = max(1, side // _REACH)
        moves = np.floor(_uniform(indices, view, name) * (2 * reach + 1)).astype(np.int64) - reach
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
    seeds = _hashed(indices, view, "library")
    with torch.random.fork_rng(devices=[]):
        rows = []
        for row, seed in zip(pixels, seeds.tolist(), strict=True):
            torch.manual_seed(seed >> 1)
            rows.append(transform(row))
    return torch.stack(rows)


def _uniform(indices: Tensor, view: int, stream: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A number from 0 up to 1 for each image, (batch,)."""
    return (_hashed(indices, view, stream) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _hashed(indices: Tensor, view: int, stream: str) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """64 bits for each image, (batch,): SplitMix64 of its index, started at a place of the view's and stream's own."""
    start = (view * len(_STREAMS) * 2 + _STREAMS[stream]) * 0x9E3779B97F4A7C15 & _MASK
    state = _mixed(_mixed(indices.numpy().astype(np.uint64) + np.uint64(start)))
    return _mixed(state + np.uint64(start))


def _mixed(state: np.ndarray[Any, np.dtype[np.uint64]]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """The output function of SplitMix64 (Steele, Lea and Flood, 2014)."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
