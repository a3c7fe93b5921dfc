"""Four images in one: which, and where each lies, is decided by image and view alone.

Bochkovskiy, Wang and Liao, "YOLOv4", 2020 (arXiv:2004.10934), section 3.4. Objects are met in other company, at other
places and up to half as large, and a batch holds four times as many of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torchvision.transforms.v2 import functional

from pipeline.tasks.moves import Tile
from pipeline.training.augmentation import GROUND
from pipeline.training.draws import uniform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["PARTS", "companions", "put_together", "tiles_of"]

PARTS = 4
"""Images in one."""
_SHARE = 0.5
"""Of the images that are put together of several; the others stay as they are, as they will be met."""
_CROSSING = (0.25, 0.75)
"""Where the four meet: fractions of the side."""
_SMALLEST = 0.5
"""They are resized by a factor from here to 1."""


def companions(indices: Tensor, view: int, images: int) -> list[Tensor]:
    """Which of the ``images`` images are put beside each: three times (batch,)."""
    drawn = (uniform(indices, view, f"companion {number}") for number in range(1, PARTS))
    return [torch.from_numpy(np.floor(one * images).astype(np.int64)) for one in drawn]


def tiles_of(indices: Tensor, view: int, size: tuple[int, int]) -> tuple[tuple[Tile, ...], ...]:
    """What each image is put together of: four parts that meet in a point, or itself alone.

    Args:
        indices: Which image of the split each is, (batch,).
        view: Its number, from 0.
        size: Height and width of the images.
    """
    height, width = size
    chosen = uniform(indices, view, "mosaic") < _SHARE
    down, right = (_between(uniform(indices, view, name), *_CROSSING) for name in ("crossing down", "crossing right"))
    factors = [_between(uniform(indices, view, f"part {number}"), _SMALLEST, 1.0) for number in range(PARTS)]
    found = []
    for row, several in enumerate(chosen):
        whole = Tile(part=0, size=size, corner=(0, 0), window=(0, 0, width, height))
        crossing = (round(right[row] * width), round(down[row] * height))
        scaled = [(round(one[row] * height), round(one[row] * width)) for one in factors]
        found.append(
            tuple(_quarter(part, one, crossing, size) for part, one in enumerate(scaled)) if several else (whole,)
        )
    return tuple(found)


def _between(drawn: np.ndarray, low: float, high: float) -> list[float]:
    return [float(one) for one in low + (high - low) * drawn]


def _quarter(part: int, scaled: tuple[int, int], crossing: tuple[int, int], size: tuple[int, int]) -> Tile:
    """A part whose corner touches the crossing: 0 left above, 1 right above, 2 left below, 3 right below."""
    (high, wide), (x, y), (height, width) = scaled, crossing, size
    left, top = (x if part % 2 else x - wide), (y if part // 2 else y - high)
    window = (max(left, 0), max(top, 0), min(left + wide, width), min(top + high, height))
    return Tile(part=part, size=scaled, corner=(left, top), window=window)


def put_together(parts: Sequence[Tensor], tiles: Sequence[Sequence[Tile]]) -> Tensor:
    """The images of a batch, each put together of its parts.

    Args:
        parts: The images themselves and three companions of each, uint8 (batch, channels, height, width) all.
        tiles: As of :func:`tiles_of`.

    Returns:
        uint8, of the same shape.
    """
    whole = torch.full_like(parts[0], GROUND)
    for row, places in enumerate(tiles):
        for tile in places:
            image = parts[tile.part][row]
            if tile.size != tuple(image.shape[1:]):
                image = functional.resize(image, list(tile.size), antialias=True)
            (left, top, right, bottom), (x, y) = tile.window, tile.corner
            whole[row, :, top:bottom, left:right] = image[:, top - y : bottom - y, left - x : right - x]
    return whole
