"""How the images of a batch were moved from what they are to what is seen of them, so that truth can follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Moves"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Moves:
    """Mirrored first, shifted then; None where none of the images was.

    Attributes:
        size: Height and width of the images, pixels.
        mirrored: Which are, left for right, bool (batch,).
        down: By how many pixels each, (batch,).
        right: Likewise.
    """

    size: tuple[int, int]
    mirrored: Tensor | None = None
    down: Tensor | None = None
    right: Tensor | None = None
