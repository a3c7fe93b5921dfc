"""What changes from one view of an image to the next: decided by the image and the number of the view alone.

So that a view can be made again whenever it is wanted: teachers are asked once about a view that the student meets in
many epochs, and a training that was killed goes on with the very same pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pipeline.tasks.moves import Moves, Placement
from pipeline.training.draws import hashed, uniform

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from pipeline.training.schedule import Augmentation

__all__ = ["GROUND", "augmented", "moves_of"]

_FROM_THE_LIBRARY = frozenset({"colour", "randaugment", "trivialaugment"})
_REACH = 8
"""A shift is at most this fraction of the side."""
_SCALES = (0.5, 1.5)
_DEGREES = 10.0
_SHEAR_DEGREES = 2.0
"""Those of YOLOX: Ge et al., "YOLOX: Exceeding YOLO Series in 2021", 2021 (arXiv:2107.08430); factors as YOLOv5's."""
_TRIVIALLY_MOVED = 32 / 224
"""Of the side, at most."""
_ERASED = 0.25
"""Of the images."""
_ERASED_AREA, _ERASED_RATIO = (0.02, 0.33), (0.3, 3.3)
"""Of the image, and height to width as shares of its sides: Zhong et al., "Random Erasing Data Augmentation", 2017
(arXiv:1708.04896), section 4.2, in the version that torchvision has."""
GROUND = 114
"""Grey where no image reaches."""


def augmented(
    pixels: Tensor, indices: Tensor, view: int, kinds: Sequence[Augmentation], moves: Moves | None = None
) -> Tensor:
    """A view of each image; view 0 is one as any other.

    Args:
        pixels: uint8, (batch, channels, height, width).
        indices: Which image of the split each is, (batch,).
        view: Its number, from 0.
        kinds: ``flip`` mirrors half of them; ``shift`` moves them by up to an eighth, their edges repeated; ``scale``
            makes them 0.5 to 1.5 times as large, ``affine`` turns and shears them, grey around them; ``colour``
            changes brightness, contrast and saturation; ``erase`` blanks a rectangle; ``randaugment`` and
            ``trivialaugment`` are torchvision's. Those that put several images into one are seen to in
            :mod:`pipeline.training.mixing` and :mod:`pipeline.training.mosaic`.
        moves: As of :func:`moves_of` for the same images, where they are known.

    Returns:
        uint8, of the same shape.
    """
    moves = moves or moves_of(indices, view, kinds, (pixels.shape[2], pixels.shape[3]))
    if moves.mirrored is not None:
        pixels = torch.where(moves.mirrored[:, None, None, None], pixels.flip(-1), pixels)
    for dim, distances in ((2, moves.down), (3, moves.right)):
        if distances is not None:
            pixels = _shifted(pixels, dim, distances)
    if moves.placed is not None:
        pixels = torch.stack([_placed(*pair) for pair in zip(pixels, moves.placed, strict=True)])
    library = [kind for kind in kinds if kind in _FROM_THE_LIBRARY]
    if library:
        pixels = _by_library(pixels, indices, view, library)
    # Rectangles are blanked last, or the others would fill them again.
    return _erased(pixels, indices, view) if "erase" in kinds else pixels


def moves_of(indices: Tensor, view: int, kinds: Sequence[Augmentation], size: tuple[int, int]) -> Moves:
    """Where things go in a view of each image.

    Args:
        indices: Which image of the split each is, (batch,).
        view: Its number, from 0.
        kinds: As of :func:`augmented`; those that leave things where they are do not count.
        size: Height and width of the images.
    """
    mirrored = torch.from_numpy(uniform(indices, view, "flip") < 0.5) if "flip" in kinds else None
    placed = _placements(indices, view, kinds, size) if {"scale", "affine"}.intersection(kinds) else None
    if "shift" not in kinds:
        return Moves(size=size, mirrored=mirrored, placed=placed)
    down, right = (_distances(indices, view, name, side) for name, side in zip(("down", "right"), size, strict=True))
    return Moves(size=size, mirrored=mirrored, down=down, right=right, placed=placed)


def _placements(
    indices: Tensor, view: int, kinds: Sequence[Augmentation], size: tuple[int, int]
) -> tuple[Placement, ...]:
    """How each image is turned, sheared and scaled; a smaller one lies anywhere, of a larger one any part is seen."""

    def drawn(stream: str, reach: float) -> list[float]:
        values: list[float] = (reach * (2 * uniform(indices, view, stream) - 1)).tolist()
        return values

    turned, scaled = "affine" in kinds, "scale" in kinds
    (low, high), (height, width) = _SCALES, size
    angles = drawn("angle", _DEGREES * turned)
    shears = zip(
        drawn("shear right", _SHEAR_DEGREES * turned), drawn("shear down", _SHEAR_DEGREES * turned), strict=True
    )
    scales = [(low + high) / 2 + one for one in drawn("scale", (high - low) / 2)] if scaled else [1.0] * len(indices)
    rights, downs = drawn("place right", width / 2), drawn("place down", height / 2)
    return tuple(
        Placement(angle=angle, translate=(right * abs(1 - scale), down * abs(1 - scale)), scale=scale, shear=shear)
        for angle, shear, scale, right, down in zip(angles, shears, scales, rights, downs, strict=True)
    )


def _placed(image: Tensor, placement: Placement) -> Tensor:
    """The image (channels, height, width) with what of it is within the same size."""
    from torchvision.transforms.v2 import InterpolationMode, functional

    seen: Tensor = functional.affine(
        image,
        angle=placement.angle,
        translate=list(placement.translate),
        scale=placement.scale,
        shear=list(placement.shear),
        interpolation=InterpolationMode.BILINEAR,
        fill=[float(GROUND)] * len(image),
    )
    return seen


def _distances(indices: Tensor, view: int, name: str, side: int) -> Tensor:
    """By how many pixels each image is shifted along a side."""
    reach = max(1, side // _REACH)
    taken_from = np.floor(uniform(indices, view, name) * (2 * reach + 1)).astype(np.int64) - reach
    return torch.from_numpy(-taken_from)


def _shifted(pixels: Tensor, dim: int, distances: Tensor) -> Tensor:
    """Every image shifted along a dimension, its edge repeated."""
    side = pixels.shape[dim]
    places = (torch.arange(side) - distances[:, None]).clamp(0, side - 1)
    places = places[:, None, :, None] if dim == 2 else places[:, None, None, :]
    return pixels.gather(dim, places.expand_as(pixels))


def _erased(pixels: Tensor, indices: Tensor, view: int) -> Tensor:
    """A rectangle of some of the images blanked: the same share of the sides, however large an image is."""

    def drawn(stream: str) -> Tensor:
        return torch.from_numpy(uniform(indices, view, stream))

    (least, most), (flat, tall) = _ERASED_AREA, _ERASED_RATIO
    area = least + (most - least) * drawn("erase area")
    ratio = flat * (tall / flat) ** drawn("erase ratio")
    ratio = ratio.clamp(area, 1 / area)  # so that neither side is longer than the image's
    within = []
    for side, share, stream in (
        (pixels.shape[2], (area * ratio).sqrt(), "erase down"),
        (pixels.shape[3], (area / ratio).sqrt(), "erase right"),
    ):
        begin = drawn(stream) * (1 - share)
        places = (torch.arange(side) + 0.5) / side
        within.append((places >= begin[:, None]) & (places < (begin + share)[:, None]))
    down, right = within
    blank = down[:, :, None] & right[:, None, :] & (drawn("erase") < _ERASED)[:, None, None]
    return pixels.masked_fill(blank[:, None], 0)


def _by_library(pixels: Tensor, indices: Tensor, view: int, kinds: Sequence[Augmentation]) -> Tensor:
    from torchvision.transforms import v2

    made: dict[str, Callable[[], Any]] = {
        "colour": lambda: v2.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4),
        "randaugment": v2.RandAugment,
        "trivialaugment": _trivial_augment,
    }
    transform = v2.Compose([made[kind]() for kind in kinds])
    seeds = hashed(indices, view, "library")
    with torch.random.fork_rng(devices=[]):
        rows = []
        for row, seed in zip(pixels, seeds.tolist(), strict=True):
            torch.manual_seed(seed >> 1)
            rows.append(transform(row))
    return torch.stack(rows)


def _trivial_augment() -> Any:  # noqa: ANN401 - torchvision's transforms have no types
    """torchvision's, but that it moves by a share of the side, so that a view is the same at every size of the input.

    Its 32 pixels are a seventh of the images that it was made for, and all of a small one.
    """
    from torchvision.transforms import v2

    class OfShares(v2.TrivialAugmentWide):  # type: ignore[misc]  # as above
        _AUGMENTATION_SPACE = v2.TrivialAugmentWide._AUGMENTATION_SPACE | {  # noqa: SLF001 - its table has no other name
            "TranslateX": (lambda bins, _height, width: torch.linspace(0.0, _TRIVIALLY_MOVED * width, bins), True),
            "TranslateY": (lambda bins, height, _width: torch.linspace(0.0, _TRIVIALLY_MOVED * height, bins), True),
        }

    return OfShares()
