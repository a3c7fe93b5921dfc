"""What is known of an image in which objects are to be found: a box and a class for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.artifact import Json

__all__ = ["Box", "Objects"]


@dataclass(frozen=True, slots=True)
class Box:
    """One object.

    Attributes:
        label: Index into the data set's classes.
        left: In pixels of the upright image, as are the others; 0 is its left edge.
        top: 0 is its upper edge.
        right: Larger than ``left``, at most the image's width.
        bottom: Larger than ``top``, at most the image's height.
        crowd: Whether it stands for many objects that nobody told apart: no network has to find it, and none is wrong
            that does.
        difficult: Whether Pascal VOC calls it so: it is learned from, and no network has to find it, and none is wrong
            that does.
        area: Pixels that the object covers, where somebody says it; None: all of the box. COCO calls an object small,
            medium or large by it.
    """

    label: int
    left: float
    top: float
    right: float
    bottom: float
    crowd: bool = False
    difficult: bool = False
    area: float | None = None

    @property
    def counts(self) -> bool:
        """Whether a network has to find it."""
        return not (self.crowd or self.difficult)

    @property
    def covered(self) -> float:
        """Its area, pixels."""
        return (self.right - self.left) * (self.bottom - self.top) if self.area is None else self.area

    def to_json(self) -> list[Json]:
        """As JSON: the fields in their order, ``difficult`` where it is, ``area`` where it is said."""
        said: list[Json] = [self.label, self.left, self.top, self.right, self.bottom, self.crowd]
        if self.area is not None:
            return [*said, self.difficult, self.area]
        return [*said, True] if self.difficult else said


@dataclass(frozen=True, kw_only=True, slots=True)
class Objects:
    """What is on an image.

    Attributes:
        size: Width and height of the upright image, pixels.
        boxes: Of every object; there may be none.
    """

    size: tuple[int, int]
    boxes: tuple[Box, ...]

    @property
    def any_counts(self) -> bool:
        """Whether there is something that a network has to find."""
        return any(box.counts for box in self.boxes)

    def to_json(self) -> Json:
        """As JSON."""
        return {"size": list(self.size), "boxes": [box.to_json() for box in self.boxes]}
