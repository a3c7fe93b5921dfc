"""What an assignment comes to: which places of an image learn which of its objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Assigned"]


@dataclass(frozen=True, slots=True)
class Assigned:
    """Places of one image that learn an object.

    Attributes:
        places: int64 (matched,), rising.
        objects: Which of the image's objects each learns, int64 (matched,).
        quality: What its class's score is to be, 0 to 1, float32 (matched,).
    """

    places: Tensor
    objects: Tensor
    quality: Tensor
