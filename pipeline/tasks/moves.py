"""How the images of a batch were moved from what they are to what is seen of them, so that truth can follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Moves", "Placement", "Tile"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """An affine map about the middle of an image, in the words of ``torchvision.transforms.v2.functional.affine``.

    Attributes:
        angle: Degrees, clockwise.
        translate: To the right and down, pixels.
        scale: Larger than 1 enlarges.
        shear: Along either axis, degrees.
    """

    angle: float
    translate: tuple[float, float]
    scale: float
    shear: tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """One image among those that an image is put together of.

    Attributes:
        part: Which one of them.
        size: Height and width that it is resized to, pixels.
        corner: Where its left upper corner lies then: right and down, pixels; may be outside.
        window: What of the whole shows it, xyxy in pixels.
    """

    part: int
    size: tuple[int, int]
    corner: tuple[int, int]
    window: tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Moves:
    """Mirrored first, shifted then, placed last; None where none of the images was.

    Attributes:
        size: Height and width of the images, pixels.
        mirrored: Which are, left for right, bool (batch,).
        down: By how many pixels each, (batch,).
        right: Likewise.
        placed: How each is.
    """

    size: tuple[int, int]
    mirrored: Tensor | None = None
    down: Tensor | None = None
    right: Tensor | None = None
    placed: tuple[Placement, ...] | None = None
