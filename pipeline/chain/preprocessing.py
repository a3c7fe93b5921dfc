"""How a network wants its images: what its weights, its file, the data and the user say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.data.digits_detection import CANVAS
from pipeline.errors import UsageError
from pipeline.models.weights_preprocess import CUSTOMARY_OF_DETECTORS, shared_by_all_weights, weights_preprocess
from pipeline.preprocess import PreprocessSpec
from pipeline.preprocess_section import InputSection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.models import ModelSource, WeightsSource
    from pipeline.models.onnx_file import ImageInput
    from pipeline.recipe import Recipe

__all__ = ["preprocess_of", "resized"]

_EMBEDDED = PreprocessSpec(size=(32, 32), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
"""For the embedded 8x8 digits: the smallest input that leaves ResNets and VGGs a feature map."""

_CANVASES = PreprocessSpec(size=(CANVAS, CANVAS), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
"""For the embedded canvases: as they are, where a network looks closely enough."""

_COARSE = "fasterrcnn_mobilenet"
"""The finest feature map of these has a place every 32 pixels, that of other detectors one every 16 or less."""
_ENLARGED = 2
"""For them: the canvases' digits have 24 pixels and more."""

_CUSTOMARY = PreprocessSpec(size=(224, 224), resize=256)
"""What ImageNet classifiers are usually trained with; for networks that do not say."""

_OF_IMAGENET = "ImageNet's custom"
_OF_DEVICES = "what suits a device"

_DECIDING = ("size", "mean", "std", "resize")
"""Keys of the input without which a network does not know its images again."""


def preprocess_of(recipe: Recipe, model: ModelSource, weights: WeightsSource) -> tuple[PreprocessSpec, tuple[str, ...]]:
    """The weights' own recipe, the embedded data's size, or custom; then what the user set.

    Returns:
        The steps, and what nobody said and was assumed.

    Raises:
        UsageError: for what an ONNX file's input contradicts.
    """
    if model.image is not None:
        return _preprocess_of_file(recipe, model.image, where=str(model.file))
    embedded = _of_embedded(recipe.data.source, model)
    published = "pretrained" in {weights.origin, weights.backbone and weights.backbone.origin}
    trained = weights.origin != "scratch"
    own = weights_preprocess(model, trained=trained) if published or embedded is None else None
    if embedded is not None:
        base = embedded if own is None else embedded.model_copy(update={"mean": own.mean, "std": own.std})
    elif own is not None:
        base = own
    else:
        base = CUSTOMARY_OF_DETECTORS if model.task == "detection" else _CUSTOMARY
    spec = recipe.input.over(resized(base, recipe.input))
    if embedded is not None:
        return spec, ()
    if own is None:
        return spec, _assumed(spec, recipe.input, custom=_OF_DEVICES if model.task == "detection" else _OF_IMAGENET)
    if model.task == "detection" and weights.origin == "file":  # the name does not say how these were trained
        return spec, _assumed(spec, recipe.input, shared_by_all_weights(model), custom=_OF_DEVICES)
    return spec, ()


def _of_embedded(source: str, model: ModelSource) -> PreprocessSpec | None:
    """What suits the embedded data of that name; None for any other data."""
    match source:
        case "digits":
            return _EMBEDDED
        case "digits-detection":
            side = CANVAS * _ENLARGED if model.origin == "torchvision" and model.name.startswith(_COARSE) else CANVAS
            canvases = _CANVASES.model_copy(update={"size": (side, side)})
            own = weights_preprocess(model)
            return canvases if own is None else canvases.resized_as(own)
        case _:
            return None


def _assumed(
    spec: PreprocessSpec, chosen: InputSection, known: Iterable[str] = (), *, custom: str = _OF_IMAGENET
) -> tuple[str, ...]:
    """One sentence about what is customary in the steps because nobody said it; none where all was said.

    The order of channels and the interpolation are almost always the same: of them nothing is told.

    Args:
        spec: The steps.
        chosen: What the user said of them.
        known: Keys that the network itself says.
        custom: What decides about the pixels; mean and deviation are ImageNet's.
    """
    said = {*known, *chosen.model_dump(exclude_none=True)}
    missing = [key for key in _DECIDING if key not in said]
    if not missing:
        return ()
    height, width = spec.size
    side = str(height) if height == width else f"{height}x{width}"
    how = f"the whole image squashed to {side}" if spec.resize == "squash" else f"{spec.resize}, centre {side}"
    if len(missing) == len(_DECIDING) and custom == _OF_IMAGENET:
        what = f"preprocessing taken as {custom} ({how}, its mean and std)"
    else:
        pixels = [f"images resized to {how}" if spec.resize != "squash" else how] if "resize" in missing else []
        pixels += [f"an input of {side}"] if "size" in missing and not pixels else []
        colours = " and ".join(key for key in ("mean", "std") if key in missing)
        taken: dict[str, list[str]] = {custom: pixels}
        taken.setdefault(_OF_IMAGENET, []).extend([colours] if colours else [])
        what = " and ".join(f"{', '.join(parts)} taken as {whose}" for whose, parts in taken.items() if parts)
    keys = ", ".join(f"input.{key}" for key in missing)
    return (f"{what}; set {keys} if the network was trained otherwise",)


def _preprocess_of_file(recipe: Recipe, image: ImageInput, *, where: str) -> tuple[PreprocessSpec, tuple[str, ...]]:
    """What an ONNX file says of its input, the rest as is customary; then what the user set."""
    chosen = recipe.input
    asked = (chosen.size, chosen.size) if isinstance(chosen.size, int) else chosen.size
    if image.size is not None and asked not in {None, image.size}:
        raise UsageError(
            "this ONNX file takes images of one size",
            where=where,
            got=f"input.size = {'x'.join(map(str, asked))}",
            expected="x".join(map(str, image.size)),
            fix="leave input.size out, or export the network with open sizes",
        )
    gray = image.channels == 1
    if chosen.channels is not None and gray != (chosen.channels == "gray"):
        raise UsageError(
            f"this ONNX file takes images of {image.channels} channel(s)",
            where=where,
            got=f"input.channels = {chosen.channels}",
            fix="leave input.channels out",
        )
    usual = _EMBEDDED if recipe.data.source == "digits" else _CUSTOMARY
    usual = InputSection(channels="gray").over(usual) if gray else usual
    size = image.size or asked or usual.size
    sized = InputSection(size=size)
    base = sized.over(resized(usual, sized))
    if image.dtype == "uint8":
        if chosen.mean is not None or chosen.std is not None:
            raise UsageError(
                "this ONNX file takes bytes and normalises them itself",
                where=where,
                got="input.mean or input.std",
                fix="leave them out",
            )
        count = image.channels
        base = base.model_copy(update={"mean": (0.0,) * count, "std": (1 / 255,) * count})
    known = [*(["size"] if image.size else []), *(["mean", "std"] if image.dtype == "uint8" else [])]
    spec = chosen.over(base)
    return spec, () if recipe.data.source == "digits" else _assumed(spec, chosen, known)


def resized(base: PreprocessSpec, chosen: InputSection) -> PreprocessSpec:
    """The base with its resize in the proportion of the chosen size: the same part of the image is seen."""
    if chosen.size is None or chosen.resize is not None or isinstance(base.resize, str):
        return base
    size = (chosen.size, chosen.size) if isinstance(chosen.size, int) else chosen.size
    return base.model_copy(update={"resize": base.at(size).resize})
