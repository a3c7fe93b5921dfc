"""torchvision's detectors as this project trains and deploys them: on inputs that are prepared already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.models.sampled_proposals import sampled_by_objects
from pipeline.models.ssdlite_tail import build_with_wide_tail

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["build_detector", "fed_as_it_is"]

_PROPOSED = {"rpn_pre_nms_top_n_train": 256, "rpn_post_nms_top_n_train": 128}
"""Of Faster R-CNN's proposals, for a step of training: what its head is drawn from."""


def build_detector(name: str, classes: int, *, wide_tail: bool = False) -> nn.Module:
    """A new detector with random weights for so many classes, which it counts from 1: 0 is the background.

    It takes normalised inputs of one size as they are: no resizing and no normalisation of its own.

    Args:
        name: Of torchvision's builder.
        classes: Of the data.
        wide_tail: Of torchvision's two SSDlites the wider one.
    """
    from torchvision.models import get_model

    if wide_tail:
        return fed_as_it_is(build_with_wide_tail(classes + 1))
    proposes = name.startswith("fasterrcnn")
    told = _PROPOSED if proposes else {}
    network = get_model(name, weights=None, weights_backbone=None, num_classes=classes + 1, **told)
    return fed_as_it_is(sampled_by_objects(network) if proposes else network)


def fed_as_it_is(network: nn.Module) -> nn.Module:
    """The detector without its own resizing and normalisation, which the preprocessing does; changed in place."""
    transform: Any = getattr(network, "transform", None)
    if transform is not None:
        transform.normalize, transform.resize = _same_image, _same_image_and_target
    return network


def _same_image(image: Tensor) -> Tensor:
    return image


def _same_image_and_target(image: Tensor, target: Any = None) -> tuple[Tensor, Any]:  # noqa: ANN401 - torchvision's
    return image, target
