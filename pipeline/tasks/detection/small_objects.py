"""Whether a detector looks closely enough at its input to tell objects of that size apart and say where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from pipeline.models.build import modes_kept
from pipeline.tasks.detection.deployable.geometry import framed, pyramid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.tasks.detection.box_labels import BoxLabels

__all__ = ["doubt_of_small_objects"]


def doubt_of_small_objects(network: Any, labels: BoxLabels, shape: Sequence[int]) -> str | None:  # noqa: ANN401 - torchvision has no types
    """A sentence where most objects are narrower than the distance between two places of the finest feature map.

    All that is known of such an object is in one or two places, which it shares with its neighbours. Of one below a
    pixel of the input nothing is, and it is not learned.

    Args:
        network: A detector of torchvision's interface; one without a ``backbone`` is not looked at.
        labels: Of the training images.
        shape: Of an input: (channels, height, width).
    """
    lost = _lost(labels)
    backbone, boxes = getattr(network, "backbone", None), torch.cat([torch.zeros(0, 4), *labels.boxes])
    if backbone is None or not len(boxes):
        return lost
    sides = torch.cat(((boxes[:, 2:] - boxes[:, :2]).amin(dim=1), torch.zeros(labels.unseen)))
    narrow = float(sides.median())
    with modes_kept(backbone), torch.no_grad():
        image = framed(torch.zeros(1, *shape), network.transform.size_divisible)
        maps = pyramid(backbone.eval(), image)
    apart = min(image.shape[3] / one.shape[3] for one in maps.values())
    if narrow >= apart:
        return lost
    told = (
        f"half of the objects are narrower than {max(1.0, narrow):.0f} pixels of the input, and its finest feature map "
        f"has a place every {apart:.0f}: a larger input.size shows it more of them"
    )
    return told if lost is None else f"{lost}; {told}"


def _lost(labels: BoxLabels) -> str | None:
    if not labels.unseen:
        return None
    every = labels.unseen + sum(map(len, labels.boxes))
    return f"{labels.unseen} of {every} objects have a side below one pixel of the input, and are not learned"
