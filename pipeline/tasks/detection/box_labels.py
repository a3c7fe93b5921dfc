"""What is known of some images in which objects are to be found, as tensors that a loss takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.data.boxes import Objects
from pipeline.errors import DataError
from pipeline.image_input import boxes_in_input

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from pipeline.data import Sample
    from pipeline.preprocess import PreprocessSpec
    from pipeline.tasks.moves import Moves, Placement, Tile

__all__ = ["BoxLabels", "objects_of"]

_LEAST_SIDE = 1.0
"""Pixels of the input; nothing smaller is looked for."""
_LEAST_SHARE = 0.25
"""Of an object's area: what is left of one that reaches beyond the edge counts from here on."""
_TINY = 1e-12


def objects_of(sample: Sample) -> Objects:
    """What is on the image.

    Raises:
        DataError: for an image of which a class is known in place of objects.
    """
    if not isinstance(sample.label, Objects):
        raise DataError(
            "this image has a class and no boxes", where=str(sample.path), fix="name a network that classifies"
        )
    return sample.label


@dataclass(frozen=True, slots=True)
class BoxLabels:
    """The objects of some images.

    Attributes:
        boxes: Of each image, float32 (objects, 4), xyxy in pixels of the input, within it.
        classes: Of each image, int64 (objects,), indices into the data set's classes.
        unseen: Objects of all these images that are too small in the input to be among them.
    """

    boxes: tuple[Tensor, ...]
    classes: tuple[Tensor, ...]
    unseen: int = 0

    @classmethod
    def of(cls, samples: Sequence[Sample], preprocess: PreprocessSpec) -> BoxLabels:
        """What a network sees of the objects; crowds are left out, since no loss can learn from them."""
        spec, (height, width) = preprocess.model_dump(mode="json"), preprocess.size
        found, unseen = [], 0
        for sample in samples:
            objects = objects_of(sample)
            single = [box for box in objects.boxes if not box.crowd]
            places = np.array([[one.left, one.top, one.right, one.bottom] for one in single]).reshape(-1, 4)
            placed = torch.from_numpy(boxes_in_input(places, objects.size, spec)).float()
            labels = torch.tensor([one.label for one in single], dtype=torch.int64)
            found.append(_within(placed, labels, (0, 0, width, height)))
            unseen += int(((placed[:, 2:] - placed[:, :2]) < _LEAST_SIDE).any(dim=1).sum())
        return cls(tuple(boxes for boxes, _ in found), tuple(labels for _, labels in found), unseen)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, indices: Tensor) -> BoxLabels:
        chosen = indices.tolist()
        return BoxLabels(tuple(self.boxes[one] for one in chosen), tuple(self.classes[one] for one in chosen))

    def to(self, device: torch.device, *, non_blocking: bool = False) -> BoxLabels:
        """The same there."""
        boxes, classes = (
            tuple(one.to(device, non_blocking=non_blocking) for one in many) for many in (self.boxes, self.classes)
        )
        return BoxLabels(boxes, classes)

    def within(self, size: tuple[int, int]) -> BoxLabels:
        """What of the objects is within an input of that height and width; those that are mostly outside are gone."""
        height, width = size
        pairs = [_within(*pair, (0, 0, width, height)) for pair in zip(self.boxes, self.classes, strict=True)]
        return BoxLabels(tuple(boxes for boxes, _ in pairs), tuple(classes for _, classes in pairs))

    def moved(self, moves: Moves) -> BoxLabels:
        """The objects where they are after the images were moved; those that are mostly out of sight are gone."""
        window = (0, 0, moves.size[1], moves.size[0])
        width, boxes, classes = moves.size[1], list(self.boxes), list(self.classes)
        for number in range(len(boxes)):
            if moves.mirrored is not None and moves.mirrored[number]:
                left, top, right, bottom = boxes[number].T
                boxes[number] = torch.stack((width - right, top, width - left, bottom), dim=1)
            if moves.right is not None and moves.down is not None:
                boxes[number] = boxes[number] + torch.stack((moves.right[number], moves.down[number])).repeat(2)
            boxes[number], share = _cut(boxes[number], window)  # what is over the border is not in the image any more
            if moves.placed is not None:
                boxes[number], rest = _cut(_placed(boxes[number], moves.placed[number], moves.size), window)
                share = share * rest
            stays = _stays(boxes[number], share)
            boxes[number], classes[number] = boxes[number][stays], classes[number][stays]
        return replace(self, boxes=tuple(boxes), classes=tuple(classes))

    @classmethod
    def put_together(
        cls, parts: Sequence[BoxLabels], tiles: Sequence[Sequence[Tile]], size: tuple[int, int]
    ) -> BoxLabels:
        """The objects of images that were put together of several; see :func:`pipeline.training.mosaic.tiles_of`."""
        height, width = size
        found = []
        for row, places in enumerate(tiles):
            boxes, classes = [], []
            for tile in places:
                factors = torch.tensor([tile.size[1] / width, tile.size[0] / height]).repeat(2)
                scaled = parts[tile.part].boxes[row] * factors + torch.tensor(tile.corner).repeat(2)
                seen, of = _within(scaled, parts[tile.part].classes[row], tile.window)
                boxes.append(seen)
                classes.append(of)
            found.append((torch.cat(boxes), torch.cat(classes)))
        return cls(tuple(boxes for boxes, _ in found), tuple(classes for _, classes in found))


def _placed(boxes: Tensor, placement: Placement, size: tuple[int, int]) -> Tensor:
    """The upright boxes around what the boxes (n, 4) become, wherever they come to lie."""
    from torchvision.transforms.v2 import functional
    from torchvision.tv_tensors import BoundingBoxes, BoundingBoxFormat

    if not len(boxes):
        return boxes
    around = functional.affine(
        BoundingBoxes(boxes, format=BoundingBoxFormat.XYXY, canvas_size=size, clamping_mode=None),
        angle=placement.angle,
        translate=list(placement.translate),
        scale=placement.scale,
        shear=list(placement.shear),
    )
    plain: Tensor = around.as_subclass(torch.Tensor)
    return plain


def _within(boxes: Tensor, classes: Tensor, window: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
    """What of the objects is within a window of the input, xyxy, without those of which too little is."""
    cut, share = _cut(boxes, window)
    stays = _stays(cut, share)
    return cut[stays], classes[stays]


def _cut(boxes: Tensor, window: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
    """What of the boxes (n, 4) is within a window, xyxy, and which fraction of each one's area that is, (n,)."""
    low, high = (torch.tensor(corner, dtype=torch.float32).repeat(2) for corner in (window[:2], window[2:]))
    cut = torch.minimum(torch.maximum(boxes, low), high)
    whole = _sides(boxes).prod(dim=1)
    return cut, torch.where(whole > 0, _sides(cut).prod(dim=1) / whole.clamp(min=_TINY), 0.0)


def _stays(cut: Tensor, share: Tensor) -> Tensor:
    """Which of the boxes are large enough to be looked for, with enough of their objects in them; (n,)."""
    return (_sides(cut) >= _LEAST_SIDE).all(dim=1) & (share >= _LEAST_SHARE)


def _sides(boxes: Tensor) -> Tensor:
    return boxes[:, 2:] - boxes[:, :2]
