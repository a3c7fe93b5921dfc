"""The names of models that can be asked for; answers without importing torch."""

from __future__ import annotations

from pipeline.models import timm_source, torchvision_source
from pipeline.models.yolo.variants import VARIANTS

__all__ = ["timm_classifiers", "torchvision_classifiers", "torchvision_detectors", "yolo_detectors"]


def torchvision_classifiers() -> tuple[str, ...]:
    """The image classifiers of torchvision, sorted."""
    return tuple(torchvision_source.builders())


def torchvision_detectors() -> tuple[str, ...]:
    """The detectors of torchvision that give boxes, sorted."""
    return tuple(torchvision_source.detector_builders())


def timm_classifiers() -> tuple[str, ...]:
    """The architectures of timm with the prefix ``timm/``, sorted; empty where the extra is not installed."""
    return tuple(f"timm/{name}" for name in timm_source.architectures())


def yolo_detectors() -> tuple[str, ...]:
    """The YOLO networks with the prefix ``yolo/``, sorted."""
    return tuple(f"yolo/{name}" for name in sorted(VARIANTS))
