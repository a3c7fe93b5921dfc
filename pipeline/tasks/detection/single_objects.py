"""A detector's backbone learns to tell the objects apart before the detector learns to find them.

A detector's losses reach a backbone of random weights through heads that are random too, a few boxes at a time: from
scratch it needs many times the steps that it needs with a backbone which knows what there is to see. Where no weights
are to be had for that, the objects of the training images are: cut out one by one they are images of a few dozen
pixels, of which hundreds cost as much as one that is looked at whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torchvision.transforms.v2 import functional

from pipeline.models.build import modes_kept
from pipeline.tasks.classification import Classification
from pipeline.tasks.detection.box_labels import BoxLabels
from pipeline.tasks.detection.deployable.geometry import pyramid
from pipeline.tasks.lesson import Lesson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from pipeline.training.images import TrainingImages

__all__ = ["ObjectClassifier", "cut_out", "lesson_of_objects"]

_SIDES = (64, 96, 128)
"""Pixels of what is cut out; the first that the backbone takes."""
_CONTEXT = 1.5
"""Side of what is cut out over the longer side of the object."""
_SMALLEST = 8.0
"""Pixels; of smaller objects a magnifying glass shows nothing."""
_MOST = 8192
"""As many objects are cut out; of more, each as likely as any other."""
_TRIES = 8
"""To find a place without an object on an image."""
_TOUCHED = 0.1
"""Of an object's area: a place that has more of it is not empty."""
_IMAGES_A_PASS = 64


class ObjectClassifier(nn.Module):
    """A detector's backbone and one linear layer on the means of its feature maps.

    Args:
        backbone: The detector's own.
        classes: How many answers there are.
        side: Of the images, pixels.
        channels: Of the images.
    """

    def __init__(self, backbone: nn.Module, classes: int, side: int, channels: int = 3) -> None:
        super().__init__()
        self.backbone = backbone
        self.answer = nn.Linear(sum(one.shape[1] for one in _maps(backbone, side, channels).values()), classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) of images (batch, channels, side, side)."""
        means = [one.mean(dim=(2, 3)) for one in pyramid(self.backbone, images).values()]
        logits: Tensor = self.answer(torch.cat(means, dim=1))
        return logits


def lesson_of_objects(network: Any, images: TrainingImages, *, classes: int) -> Lesson | None:  # noqa: ANN401 - torchvision has no types
    """What the backbone of a detector learns first.

    Args:
        network: The detector.
        images: It will be trained on.
        classes: Of the data; what is cut out where no object is, is one more.

    Returns:
        None for a detector without a ``backbone``, for one that takes no image as small as these, and where there are
        no objects to cut out.
    """
    backbone, channels = getattr(network, "backbone", None), images.channels
    side = None if backbone is None else next((side for side in _SIDES if _takes(backbone, side, channels)), None)
    if backbone is None or side is None:
        return None
    pixels, labels = cut_out(images, classes=classes, side=side)
    if not len(labels):
        return None
    return Lesson(
        network=ObjectClassifier(backbone, classes + 1, side, channels),
        task=Classification(),
        pixels=pixels,
        labels=labels,
        told=f"its backbone first learned from {len(labels)} objects and empty places of {side}x{side} pixels",
    )


def cut_out(images: TrainingImages, *, classes: int, side: int) -> tuple[Tensor, Tensor]:
    """The objects of some images one by one, each in the middle of what is around it, and a place without any of each.

    Args:
        images: With boxes.
        classes: Of the data; the label of a place without an object.
        side: Of what is cut out, pixels.

    Returns:
        Pixels, uint8 (n, channels, side, side), and labels, int64 (n,).
    """
    labels = images.labels
    assert isinstance(labels, BoxLabels)  # noqa: S101 - made by the task
    draw = torch.Generator().manual_seed(0)
    chosen = _chosen(labels, draw)
    sides = torch.cat([_longer(boxes[of]) for boxes, of in zip(labels.boxes, chosen, strict=True)])
    rows, found = [], []
    chunks: tuple[Tensor, ...] = torch.split(torch.arange(len(images)), _IMAGES_A_PASS)
    for chunk, pixels in zip(chunks, images.pixels(chunks), strict=True):
        for number, image in zip(chunk.tolist(), pixels, strict=True):
            boxes, of = labels.boxes[number], chosen[number]
            for box, label in zip(boxes[of], labels.classes[number][of].tolist(), strict=True):
                rows.append(_window(image, box, side))
                found.append(label)
            if len(sides) and (empty := _empty_place(boxes, sides, image.shape[1:], draw)) is not None:
                rows.append(_window(image, empty, side))
                found.append(classes)
    if not rows:
        return torch.empty(0, images.channels, side, side, dtype=torch.uint8), torch.empty(0, dtype=torch.int64)
    return torch.stack(rows), torch.tensor(found)


def _chosen(labels: BoxLabels, draw: torch.Generator) -> list[Tensor]:
    """Which objects of each image are cut out, bool (objects,)."""
    large = [_longer(boxes) >= _SMALLEST for boxes in labels.boxes]
    share = _MOST / max(1, sum(int(one.sum()) for one in large))
    return [one & (torch.rand(len(one), generator=draw) < share) for one in large]


def _longer(boxes: Tensor) -> Tensor:
    """Sides (n,)."""
    return (boxes[:, 2:] - boxes[:, :2]).amax(dim=1)


def _empty_place(boxes: Tensor, sides: Tensor, size: Sequence[int], draw: torch.Generator) -> Tensor | None:
    """A square as large as some object, (4,) xyxy, that shows hardly anything of those of its image."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    border = torch.tensor([size[1], size[0]], dtype=torch.float32)
    for _ in range(_TRIES):
        side = sides[torch.randint(len(sides), (1,), generator=draw)].minimum(border.min())
        corner = torch.rand(2, generator=draw) * (border - side)
        common = torch.minimum(boxes[:, 2:], corner + side) - torch.maximum(boxes[:, :2], corner)
        if bool((common.clamp(min=0).prod(dim=1) <= _TOUCHED * areas).all()):
            return torch.cat((corner, corner + side))
    return None


def _window(image: Tensor, box: Tensor, side: int) -> Tensor:
    """The box (4,) and what is around it, all of it within the image: uint8 (channels, side, side)."""
    centre, reach = (box[:2] + box[2:]) / 2, float(_CONTEXT * (box[2:] - box[:2]).max())
    places = []
    for middle, most in zip(centre.tolist(), (image.shape[2], image.shape[1]), strict=True):
        length = min(max(1, round(reach)), most)
        places.append((min(max(0, round(middle - length / 2)), most - length), length))
    (left, wide), (top, high) = places
    cut: Tensor = functional.resized_crop(image, top, left, high, wide, [side, side], antialias=True)
    return cut


def _maps(backbone: nn.Module, side: int, channels: int) -> dict[str, Tensor]:
    """The feature maps of an image of that side; the backbone is left as it was."""
    with modes_kept(backbone), torch.no_grad():
        return pyramid(backbone.eval(), torch.zeros(1, channels, side, side))


def _takes(backbone: nn.Module, side: int, channels: int) -> bool:
    """Whether the backbone has feature maps of images so small."""
    try:
        maps = _maps(backbone, side, channels)
        return all(one.ndim == 4 and one.numel() for one in maps.values())
    except Exception:  # noqa: BLE001 - a map smaller than the window over it, or whatever a user's forward raises
        return False
