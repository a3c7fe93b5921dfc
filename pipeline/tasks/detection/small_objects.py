"""Whether a detector looks closely enough at its input to tell objects of that size apart and say where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from pipeline.models.build import modes_kept
from pipeline.tasks.detection.deployable.geometry import framed, pyramid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["doubt_of_small_objects"]


def doubt_of_small_objects(network: Any, boxes: Sequence[Tensor], shape: Sequence[int]) -> str | None:  # noqa: ANN401 - torchvision has no types
    """A sentence where most objects are narrower than the distance between two places of the finest feature map.

    All that is known of such an object is in one or two places, which it shares with its neighbours.

    Args:
        network: A detector of torchvision's interface; one without a ``backbone`` is not looked at.
        boxes: Of each training image, (objects, 4) xyxy in pixels of the input.
        shape: Of an input: (channels, height, width).
    """
    backbone, sides = getattr(network, "backbone", None), torch.cat([torch.zeros(0, 4), *boxes])
    if backbone is None or not len(sides):
        return None
    narrow = float((sides[:, 2:] - sides[:, :2]).amin(dim=1).median())
    with modes_kept(backbone), torch.no_grad():
        image = framed(torch.zeros(1, *shape), network.transform.size_divisible)
        maps = pyramid(backbone.eval(), image)
    apart = min(image.shape[3] / one.shape[3] for one in maps.values())
    if narrow >= apart:
        return None
    return (
        f"half of the objects are narrower than {narrow:.0f} pixels of the input, and its finest feature map has a "
        f"place every {apart:.0f}: a larger input.size shows it more of them"
    )
