"""From an eager detector to the form in which it is exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from pipeline.tasks.detection.deployable.one_stage import OneStageForm
    from pipeline.tasks.detection.deployable.raw import RawForm
    from pipeline.tasks.detection.deployable.two_stage import FasterRcnnForm

__all__ = ["OUTPUTS", "deployable"]

OUTPUTS = ("boxes", "scores", "labels")
"""Names of the outputs of a deployable form, in their order."""


def deployable(
    network: nn.Module, size: tuple[int, int], *, channels: int = 3
) -> OneStageForm | FasterRcnnForm | RawForm:
    """A form of static shapes for one image, with everything inside but the last suppression of overlapping boxes.

    It takes a normalised image (1, channels, height, width) of exactly that size, for which the network's own transform
    is left out, and gives the candidates: ``boxes`` (1, k, 4) float32, xyxy in pixels of the input, ``scores`` (1, k)
    float32 in falling order, and ``labels`` (1, k) int64 from 1, as the network numbers its classes. The number k is a
    constant, at most 3,840; no operator's shape depends on values. Candidates that the network itself would drop before
    the last suppression, because their score is low or their box empty, are there with a score that is not above its
    threshold.

    Args:
        network: One of torchvision's FasterRCNN, SSD, RetinaNet, FCOS, our YoloDetector or RawDetector, or what derives
            from them; is put into eval mode. Its weights are shared, and its parts keep their names.
        size: Height and width of the image.
        channels: Of the image.

    Raises:
        UsageError: for a network of another kind, and for one that gives masks or keypoints.
    """
    from torchvision.models.detection import FCOS, FasterRCNN, RetinaNet
    from torchvision.models.detection.ssd import SSD

    from pipeline.models.raw_detector import RawDetector, kind_of
    from pipeline.models.yolo.detector import YoloDetector
    from pipeline.tasks.detection.deployable.one_stage import FcosForm, RetinaNetForm, SsdForm, YoloForm
    from pipeline.tasks.detection.deployable.raw import RawForm
    from pipeline.tasks.detection.deployable.two_stage import FasterRcnnForm

    if isinstance(network, FasterRCNN) and (network.roi_heads.has_mask() or network.roi_heads.has_keypoint()):
        raise UsageError(
            "this network gives more than boxes",
            where=kind_of(network),
            expected="a detector of boxes alone: masks and keypoints have no deployable form",
        )
    forms: dict[type, type[OneStageForm | FasterRcnnForm | RawForm]] = {
        FasterRCNN: FasterRcnnForm,
        SSD: SsdForm,
        RetinaNet: RetinaNetForm,
        FCOS: FcosForm,
        YoloDetector: YoloForm,
        RawDetector: RawForm,
    }
    for kind, form in forms.items():
        if isinstance(network, kind):
            return form(network.eval(), size, channels).eval()
    raise UsageError(
        "this network has no deployable form as a detector",
        where=kind_of(network),
        expected="one of torchvision's FasterRCNN, SSD, RetinaNet, FCOS, a class derived from one, a module that hands "
        "images and answers of one on as they are, or raw outputs with a function decode beside them",
    )
