"""Building the YOLO network of a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.models.yolo.variants import VARIANTS, XVariant

if TYPE_CHECKING:
    from pipeline.models.yolo.detector import YoloDetector
    from pipeline.models.yolo.variants import V9Variant

__all__ = ["build_yolo"]


def build_yolo(name: str, classes: int) -> YoloDetector:
    """A new network with random weights.

    Args:
        name: One of :data:`~pipeline.models.yolo.variants.VARIANTS`.
        classes: Of the data, without the background.
    """
    variant = VARIANTS[name]
    return _x(variant, classes) if isinstance(variant, XVariant) else _v9(variant, classes)


def _x(variant: XVariant, classes: int) -> YoloDetector:
    from torchvision.models.detection._utils import BoxCoder

    from pipeline.models.yolo.decoupled_head import DecoupledHead
    from pipeline.models.yolo.detector import YoloDetector
    from pipeline.models.yolo.pafpn import PathAggregation
    from pipeline.models.yolo.x_losses import x_losses

    # Offsets of the centre in strides, logarithms of the sides in strides.
    coder = BoxCoder((1.0, 1.0, 1.0, 1.0))
    return YoloDetector(PathAggregation(variant), DecoupledHead(variant, classes), coder, x_losses)


def _v9(variant: V9Variant, classes: int) -> YoloDetector:
    from pipeline.models.yolo.detector import YoloDetector
    from pipeline.models.yolo.distribution import DistributionCoder
    from pipeline.models.yolo.distribution_head import DistributionHead
    from pipeline.models.yolo.gelan import Gelan
    from pipeline.models.yolo.v9_losses import v9_losses

    return YoloDetector(Gelan(variant), DistributionHead(variant, classes), DistributionCoder(), v9_losses)
