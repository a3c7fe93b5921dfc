"""What a detector is for images of one size alone: anchors, sizes of the pyramid's levels, the border of the image."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["anchors_of", "by_level", "clipped", "framed", "image_border", "is_large", "pyramid"]


def framed(image: Tensor, stride: int) -> Tensor:
    """The image (1, channels, height, width) with zeros right and below, up to the next multiple of ``stride``."""
    height, width = image.shape[-2:]
    below, right = -height % stride, -width % stride
    return functional.pad(image, (0, right, 0, below)) if below or right else image


def pyramid(backbone: nn.Module, image: Tensor) -> OrderedDict[str, Tensor]:
    """The feature maps by name, each (images, channels, height, width); a single one is named ``0``."""
    return by_level(backbone(image))


def by_level(features: Tensor | OrderedDict[str, Tensor]) -> OrderedDict[str, Tensor]:
    """What a backbone gives, by name; a single map is named ``0``."""
    return OrderedDict([("0", features)]) if isinstance(features, torch.Tensor) else features


def anchors_of(generator: Any, image: Tensor, features: OrderedDict[str, Tensor], size: tuple[int, int]) -> Tensor:  # noqa: ANN401 - torchvision has no types
    """The anchors of all levels one after the other, (anchors, 4), xyxy in pixels.

    Args:
        generator: The network's own.
        image: As it comes to the backbone.
        features: What the backbone makes of it.
        size: Height and width of the image without its frame.
    """
    from torchvision.models.detection.image_list import ImageList

    (anchors,) = generator(ImageList(image, [size]), list(features.values()))
    whole: Tensor = anchors.to(torch.float32)
    return whole


def image_border(size: tuple[int, int]) -> Tensor:
    """The largest coordinates of a box, (4,)."""
    height, width = size
    return torch.tensor([width, height, width, height], dtype=torch.float32)


def clipped(boxes: Tensor, border: Tensor) -> Tensor:
    """Boxes (..., 4) cut at the image's border."""
    return torch.minimum(boxes.clamp(min=0), border)


def is_large(boxes: Tensor, side: float) -> Tensor:
    """Whether both sides of a box are at least so long, (...)."""
    return ((boxes[..., 2] - boxes[..., 0]) >= side) & ((boxes[..., 3] - boxes[..., 1]) >= side)
