"""What the backbone of a detector without weights of its own starts from: a classifier of the same build."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.errors import UsageError, WeightsError
from pipeline.models.resolve import PINNED, resolve_weights
from pipeline.models.source import ModelSource
from pipeline.models.torchvision_source import backbone_of

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.models.source import WeightsSource
    from pipeline.progress import Progress

__all__ = ["with_backbone"]

_NARROWER = "ssdlite"
"""torchvision builds the backbone of these with half as many channels at its end where it gets no weights for it."""


def with_backbone(
    weights: WeightsSource,
    text: str | None,
    model: ModelSource,
    *,
    unwanted: bool,
    cache: Path,
    progress: Progress,
) -> WeightsSource:
    """The detector's weights with what its backbone starts from.

    Args:
        weights: The detector's own.
        text: ``pretrained``, ``pretrained:SHA256``, ``none`` or a file. None: ``pretrained`` where torchvision has
            such.
        model: The detector.
        unwanted: Whether a detector without weights was asked for: then only what is asked for is looked for.
        cache: Where downloads are kept.
        progress: Where downloads are shown.

    Raises:
        UsageError: asked for, and the network is no detector, or brings weights of its own.
        WeightsError: asked for, and there is no such file, or torchvision has none.
    """
    if text is not None and model.task != "detection":
        raise UsageError("a classifier's weights are given whole", where="network.backbone", fix="use --weights")
    if text not in {None, "none"} and weights.origin != "scratch":
        raise UsageError(
            "the detector brings weights of its own, those of its backbone among them",
            where="network.backbone",
            got=str(text),
            fix="leave it out, or set --weights none",
        )
    if text == "none" or weights.origin != "scratch" or model.task != "detection":
        return weights
    if text not in {None, "pretrained"} and not str(text).startswith(PINNED):
        return replace(weights, backbone=resolve_weights(text, model, cache=cache, progress=progress))
    if text is None and (model.origin != "torchvision" or unwanted):
        return weights
    classifier = backbone_of(model.name) if model.origin == "torchvision" else None
    if classifier is None or model.name.startswith(_NARROWER):
        if text:
            raise WeightsError(
                f"there are no published weights that fit the backbone of {model.name}",
                where="network.backbone",
                fix="give a file, or leave it out",
            )
        return weights
    source = ModelSource(origin="torchvision", name=classifier)
    return replace(weights, backbone=resolve_weights(text, source, cache=cache, progress=progress))
