"""The YOLO networks that can be named, and how large each is; light to import."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["VARIANTS", "V9Variant", "XVariant"]


@dataclass(frozen=True, kw_only=True, slots=True)
class XVariant:
    """A size of YOLOX: Ge et al., "YOLOX: Exceeding YOLO Series in 2021" (arXiv:2107.08430), tables 4 and 5.

    Attributes:
        depth: Times the number of bottlenecks of a block.
        width: Times the number of channels.
        depthwise: Whether 3x3 convolutions are made of a depthwise and a pointwise one.
    """

    depth: float
    width: float
    depthwise: bool = False

    @property
    def channels(self) -> tuple[int, int, int]:
        """Of the pyramid's levels, the finest first."""
        fine, middle, coarse = (int(count * self.width) for count in (256, 512, 1024))
        return fine, middle, coarse


@dataclass(frozen=True, kw_only=True, slots=True)
class V9Variant:
    """One of the two small sizes of YOLOv9.

    Wang et al., "YOLOv9: Learning What You Want to Learn Using Programmable Gradient Information", 2024
    (arXiv:2402.13616).

    Attributes:
        base: Channels of the first layer.
    """

    base: int

    @property
    def channels(self) -> tuple[int, int, int]:
        """Of the pyramid's levels, the finest first."""
        return 4 * self.base, 6 * self.base, 8 * self.base


VARIANTS: dict[str, XVariant | V9Variant] = {
    "9-s": V9Variant(base=32),
    "9-t": V9Variant(base=16),
    "x-l": XVariant(depth=1.0, width=1.0),
    "x-m": XVariant(depth=0.67, width=0.75),
    "x-nano": XVariant(depth=0.33, width=0.25, depthwise=True),
    "x-s": XVariant(depth=0.33, width=0.5),
    "x-tiny": XVariant(depth=0.33, width=0.375),
    "x-x": XVariant(depth=1.33, width=1.25),
}
"""Name after ``yolo/`` to what it is."""
