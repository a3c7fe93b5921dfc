"""The preprocessing that published weights were made for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pipeline.models.torchvision_source import default_weights
from pipeline.models.yolo.variants import VARIANTS, XVariant
from pipeline.preprocess import PreprocessSpec

if TYPE_CHECKING:
    from pipeline.models.source import ModelSource

__all__ = ["CUSTOMARY_OF_DETECTORS", "shared_by_all_weights", "weights_preprocess"]

_PRESET: dict[str, Any] = {
    "resize_size": 256,
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "interpolation": "BILINEAR",
}
"""Defaults of torchvision.transforms._presets.ImageClassification."""

_AS_BYTES: dict[str, Any] = {"mean": (0.0, 0.0, 0.0), "std": (1 / 255, 1 / 255, 1 / 255)}
"""Numbers from 0 to 255, as YOLOX was published with them."""

_DETECTOR_SIDE = 320
"""Pixels; torchvision's larger detectors were trained on 800 and more, which ``input.size`` can say."""

_OF_SSD300: dict[str, Any] = {"mean": (0.48235, 0.45882, 0.40784), "std": (1 / 255, 1 / 255, 1 / 255)}
"""Numbers about 0 and as far as 255: torchvision's, after Caffe's VGG."""
_OF_SSDLITE: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}

CUSTOMARY_OF_DETECTORS = PreprocessSpec(size=(_DETECTOR_SIDE, _DETECTOR_SIDE), resize="squash")
"""What most of torchvision's do themselves, at a size that suits a device; for networks that do not say."""


def weights_preprocess(source: ModelSource, *, trained: bool = True) -> PreprocessSpec | None:
    """The preprocessing of torchvision's and YOLO's networks, or of timm's table; None for a network from a file.

    Args:
        source: The network.
        trained: Whether it has weights of its own, for all of it. Without them SSD300 is fed as classifiers are: so is
            the VGG that its backbone may start from, and it has no batch normalisation for the large numbers that it
            was published with.
    """
    if source.origin == "yolo":
        return _of_yolo(source.name)
    if source.origin == "torchvision" and source.task == "detection":
        return _of_detector(source.name, trained=trained)
    if source.origin == "torchvision":
        entry = default_weights(source.name)
        return None if entry is None else _of_torchvision(entry.transforms)
    return _of_timm(source.name) if source.origin == "timm" else None


def shared_by_all_weights(source: ModelSource) -> frozenset[str]:
    """Keys of a detector's :func:`weights_preprocess` that hold for any weights of that name, whoever trained them.

    A size, and a resize without regard to the ratio, only where the network is made for these: most others were trained
    at 640 or 800 pixels, and are fed less because that suits a device.

    Args:
        source: torchvision's or YOLO's detector.
    """
    if source.origin == "yolo":
        return frozenset(("mean", "std", "resize"))
    squashed = ("resize",) if source.name.startswith("ssd") else ()
    sized = ("size",) if str(_of_detector(source.name).size[0]) in source.name else ()
    return frozenset(("mean", "std", *squashed, *sized))


def _of_torchvision(arguments: dict[str, Any]) -> PreprocessSpec:
    preset = _PRESET | arguments
    return PreprocessSpec(
        size=preset["crop_size"],
        resize=preset["resize_size"],
        mean=preset["mean"],
        std=preset["std"],
        interpolation=preset["interpolation"].lower(),
    )


def _of_yolo(name: str) -> PreprocessSpec:
    """The whole image in its ratio, as the networks' authors feed them: YOLOX's in the corner, others in the middle."""
    place: Literal["centre", "corner"] = "corner" if isinstance(VARIANTS[name], XVariant) else "centre"
    size = (_DETECTOR_SIDE, _DETECTOR_SIDE)
    return PreprocessSpec(size=size, resize="letterbox", place=place, channels="BGR", **_AS_BYTES)


def _of_detector(name: str, *, trained: bool = True) -> PreprocessSpec:
    """What torchvision's detector does itself: its normalisation; and its size, or one that suits a device."""
    if name.startswith("ssd300"):
        return CUSTOMARY_OF_DETECTORS.at((300, 300)).model_copy(update=_OF_SSD300 if trained else {})
    return CUSTOMARY_OF_DETECTORS.model_copy(update=_OF_SSDLITE if name.startswith("ssdlite") else {})


def _of_timm(name: str) -> PreprocessSpec | None:
    """From timm's table, which is made at run time; the arithmetic is timm.data.transforms_factory's."""
    import timm
    from timm.data import resolve_data_config

    table = timm.get_pretrained_cfg(name)
    if table is None:
        return None
    config = resolve_data_config({}, pretrained_cfg=table.to_dict())
    _, height, width = config["input_size"]
    squash = config["crop_mode"] == "squash" or (height != width)
    interpolation = config["interpolation"]
    return PreprocessSpec(
        size=(height, width),
        resize="squash" if squash else int(height / config["crop_pct"]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation="bicubic" if interpolation == "random" else interpolation,
    )
