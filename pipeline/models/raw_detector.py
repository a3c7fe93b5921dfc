"""A user's network that gives raw tensors, with functions beside it that decode them and learn from them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from pipeline.errors import UsageError
from pipeline.models.place_detections import place_detections

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["RawDetector", "is_torchvision_detector", "kind_of"]

_Number = TypeVar("_Number", int, float)

_CUSTOMARY = {"score_thresh": 0.05, "nms_thresh": 0.5, "topk_candidates": 1000, "detections_per_img": 100}
"""What holds where the network does not say it: torchvision's names, and its numbers for RetinaNet's candidates."""


class RawDetector(nn.Module):
    """Such a network behind torchvision's detection interface.

    In training it takes images and targets and gives losses, else of each image ``boxes``, ``scores`` and ``labels``,
    which count from 1. A candidate shows one class at most, the likeliest.

    Args:
        module: From normalised images (batch, channels, height, width) to whatever ``decode`` and ``loss`` take. Its
            attributes ``score_thresh``, ``nms_thresh``, ``topk_candidates`` and ``detections_per_img`` hold where it
            has them.
        decode: From what the module answers in evaluation mode to boxes (batch, candidates, 4), xyxy in pixels of the
            input, and scores (batch, candidates, classes), 0 to 1, in plain torch operations.
        loss: From what the module answers in training mode and targets to a scalar, or to a dictionary of such. Of each
            image a target has ``boxes`` (objects, 4) and ``labels`` (objects,), which count from 0 as the columns of
            the scores do. None for a network that is not trained.

    Raises:
        UsageError: where one of the four attributes is no number, or no candidates or detections are wanted.

    Attributes:
        module: The user's; so named because weights of a network alone are taken for one that is ``module`` of another.
    """

    def __init__(self, module: nn.Module, decode: Callable[..., Any], loss: Callable[..., Any] | None = None) -> None:
        super().__init__()
        self.module = module
        # In a tuple: one that is a part of the module has its weights there alone.
        self._beside: tuple[Any, Any] = decode, loss
        self.score_thresh, self.nms_thresh = (_said(module, name, float) for name in ("score_thresh", "nms_thresh"))
        self.topk_candidates = _said(module, "topk_candidates", int, least=1)
        self.detections_per_img = _said(module, "detections_per_img", int, least=1)

    @property
    def learns(self) -> bool:
        """Whether a loss came with it."""
        return self._beside[1] is not None

    def decoded(self, answered: Any) -> Any:  # noqa: ANN401 - a user's function
        """What ``decode`` makes of what the module answered; boxes and scores, see the class."""
        return self._beside[0](answered)

    def losses(self, answered: Any, targets: Any) -> Any:  # noqa: ANN401 - a user's function
        """What ``loss`` makes of what the module answered in training mode and of targets, whose labels count from 1.

        A scalar alone comes as a dictionary with it; anything else as it is.
        """
        said = self._beside[1](answered, [{**target, "labels": target["labels"] - 1} for target in targets])
        return {"loss": said} if isinstance(said, torch.Tensor) else said

    def forward(self, images: Any, targets: Any = None) -> Any:  # noqa: ANN401 - torchvision's interface
        """See the class."""
        batch = images if isinstance(images, torch.Tensor) else torch.stack(list(images))
        answered = self.module(batch)
        if self.training and self.learns:
            return self.losses(answered, targets)
        boxes, scores = self.decoded(answered)
        size = (batch.shape[2], batch.shape[3])
        return [place_detections(self, *look, size) for look in zip(boxes, scores, strict=True)]


def _said(module: nn.Module, name: str, kind: type[_Number], *, least: float = -math.inf) -> _Number:
    """An attribute of the user's network, or what is customary."""
    said = getattr(module, name, _CUSTOMARY[name])
    try:
        found = kind(said)
    except (TypeError, ValueError, OverflowError):
        found = None
    if found is None or not found >= least:
        raise UsageError(
            "this attribute of the network says not how its detections are chosen",
            where=f"{name} of {type(module).__name__}",
            got=repr(said),
            expected=f"a number, at least {least:g}" if least > -math.inf else "a number",
            fix=f"leave it out for {_CUSTOMARY[name]:g}",
        )
    return found


def is_torchvision_detector(network: nn.Module) -> bool:
    """Whether it is of one of the families that decode what they say themselves."""
    from torchvision.models.detection import FCOS, FasterRCNN, RetinaNet
    from torchvision.models.detection.ssd import SSD

    return isinstance(network, FCOS | FasterRCNN | RetinaNet | SSD)


def kind_of(network: nn.Module) -> str:
    """Name of a network's class as its user knows it: what stands around raw outputs is ours."""
    return type(network.module if isinstance(network, RawDetector) else network).__name__
