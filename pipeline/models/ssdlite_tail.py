"""Which of torchvision's two SSDlites a file of weights is for.

torchvision halves the channels at the end of the backbone unless it starts from published weights, which is its
default: a file of a user's training is for either, under one name.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from pipeline.models.source import ModelSource, WeightsSource

__all__ = ["build_with_wide_tail", "with_tail_of"]

_TELLING = "backbone.features.1.0.3.0.weight"
"""Of the last but two layers of the backbone: so many rows has that of the wide one."""
_WIDE = 160
_PLACE_OF_C4 = 13
"""In MobileNetV3's features: where the first map comes from; source: torchvision/models/detection/ssdlite.py."""


def with_tail_of(model: ModelSource, weights: WeightsSource) -> ModelSource:
    """The network that the weights are for.

    Raises:
        WeightsError: for a file that is damaged, or holds more than tensors.
    """
    by_name = model.origin == "torchvision" and model.name.startswith("ssdlite")
    if not by_name or weights.origin != "file" or weights.file is None:
        return model
    from pipeline.models.weights import read_state_dict

    state = read_state_dict(weights.file)
    return replace(model, wide_tail=any(key.endswith(_TELLING) and len(state[key]) == _WIDE for key in state))


def build_with_wide_tail(classes: int) -> nn.Module:
    """As torchvision builds it around a backbone of published weights, with random ones.

    Args:
        classes: With the background.
    """
    from torch.nn import BatchNorm2d
    from torchvision.models import mobilenet_v3_large
    from torchvision.models.detection._utils import retrieve_out_channels
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
    from torchvision.models.detection.ssd import SSD
    from torchvision.models.detection.ssdlite import SSDLiteFeatureExtractorMobileNet, SSDLiteHead

    norm, size = partial(BatchNorm2d, eps=0.001, momentum=0.03), (320, 320)
    features = mobilenet_v3_large(weights=None, norm_layer=norm, reduced_tail=False).features
    backbone = SSDLiteFeatureExtractorMobileNet(features, _PLACE_OF_C4, norm)
    anchors = DefaultBoxGenerator([[2, 3] for _ in range(6)], min_ratio=0.2, max_ratio=0.95)
    channels = retrieve_out_channels(backbone, size)
    head = SSDLiteHead(channels, anchors.num_anchors_per_location(), classes, norm)
    network: nn.Module = SSD(
        backbone,
        anchors,
        size,
        classes,
        head=head,
        score_thresh=0.001,
        nms_thresh=0.55,
        detections_per_img=300,
        topk_candidates=300,
    )
    return network
