"""Whether a detector learns from images on which there is nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from pipeline.tasks.detection.box_labels import BoxLabels

__all__ = ["doubt_of_empty_images"]


def doubt_of_empty_images(network: nn.Module, labels: BoxLabels) -> str | None:
    """A sentence where it does not: SSD takes three places without an object for each with one, image by image.

    Args:
        network: A detector.
        labels: Of the training images.
    """
    from torchvision.models.detection.ssd import SSD

    empty = sum(not len(boxes) for boxes in labels.boxes)
    if not empty or not isinstance(network, SSD):
        return None
    return (
        f"of {len(labels)} training images {empty} show no object, from which an SSD learns nothing: it takes three "
        "places without an object for each with one, of the same image"
    )
