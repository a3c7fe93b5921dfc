"""A YOLO network behind torchvision's detection interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from torch import nn

from pipeline.models.place_detections import place_detections
from pipeline.models.yolo.places import STRIDES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

__all__ = ["BoxCoder", "Losses", "YoloDetector"]

_SIDE = 640
"""Pixels; of a detector that resizes its images itself."""


class BoxCoder(Protocol):
    """What a head means by what it says of boxes; torchvision's is one."""

    def decode_single(self, codes: Tensor, anchors: Tensor, /) -> Tensor:
        """Boxes (k, 4) xyxy of codes (k, ...) said of places whose anchors are (k, 4)."""
        ...


class Losses(Protocol):
    """What a network learns by."""

    def __call__(
        self, said: dict[str, Tensor], boxes: Tensor, anchors: Tensor, targets: Sequence[Mapping[str, Tensor]], /
    ) -> dict[str, Tensor]:
        """Losses by name; see :func:`~pipeline.models.yolo.x_losses.x_losses`."""
        ...


class YoloDetector(nn.Module):
    """One look at an image: every place of three levels says one box and how likely each class is.

    In training it takes images and targets and gives losses, else of each image ``boxes``, ``scores`` and ``labels``,
    which count from 1; as torchvision's detectors do, whose parts it is made of where there are such. A place shows one
    class at most, the likeliest.

    Args:
        backbone: From images, (batch, 3, height, width) of multiples of 32, to the levels by name.
        head: From the levels to what is said of all places, with a method ``likelihoods``.
        box_coder: What is meant by it.
        losses: What is learned by.

    Attributes:
        score_thresh: A place with a higher score is a candidate.
        nms_thresh: Of two boxes of one class that overlap by more, the less likely one goes.
        topk_candidates: So many, the likeliest, are looked at.
        detections_per_img: At most so many are found.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module, box_coder: BoxCoder, losses: Losses) -> None:
        from torchvision.models.detection.anchor_utils import AnchorGenerator
        from torchvision.models.detection.transform import GeneralizedRCNNTransform

        super().__init__()
        self.transform = GeneralizedRCNNTransform(_SIDE, _SIDE, [0.0] * 3, [1.0] * 3, size_divisible=STRIDES[-1])
        self.backbone, self.head = backbone, head
        self.anchor_generator = AnchorGenerator(tuple((side,) for side in STRIDES), ((1.0,),) * len(STRIDES))
        self.box_coder = box_coder
        self._losses = losses
        self.score_thresh, self.nms_thresh = 0.01, 0.65
        self.topk_candidates, self.detections_per_img = 1000, 100

    def forward(self, images: Any, targets: Any = None) -> Any:  # noqa: ANN401 - torchvision's interface
        """See the class."""
        sizes = [tuple(image.shape[-2:]) for image in images]
        prepared, targets = self.transform(images, targets)
        features = list(self.backbone(prepared.tensors).values())
        said = self.head(features)
        anchors = self.anchor_generator(prepared, features)[0]
        codes = said["bbox_regression"]
        placed = self.box_coder.decode_single(codes.flatten(0, 1), anchors.repeat(len(codes), 1))
        boxes = placed.reshape(*codes.shape[:2], 4)
        if self.training:
            return self._losses(said, boxes, anchors, targets)
        likelihoods = self.head.likelihoods(said)  # type: ignore[operator] # its own method
        looks = zip(boxes, likelihoods, prepared.image_sizes, strict=True)
        found = [place_detections(self, *look) for look in looks]
        return self.transform.postprocess(found, prepared.image_sizes, sizes)
