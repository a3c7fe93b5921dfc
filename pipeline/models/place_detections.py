"""What a detector finds where every place says one box and how likely each class is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["place_detections"]


def place_detections(network: Any, boxes: Tensor, likelihoods: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:  # noqa: ANN401 - any detector
    """What is left of an image's places after suppression; a place shows one class at most, the likeliest.

    Args:
        network: Says by torchvision's attributes what is a detection: the ``topk_candidates`` likeliest places are
            looked at, those with a score above ``score_thresh`` count, of two boxes of one class that overlap by more
            than ``nms_thresh`` the less likely one goes, and at most ``detections_per_img`` stay.
        boxes: (places, 4) xyxy in pixels.
        likelihoods: (places, classes), 0 to 1.
        size: Height and width of the image, at whose border boxes are cut.

    Returns:
        ``boxes`` (k, 4), ``scores`` (k,) falling, ``labels`` (k,) from 1, as torchvision's detectors answer an image.
    """
    from torchvision.ops import batched_nms, clip_boxes_to_image

    scores, labels = likelihoods.max(dim=1)
    scores, places = scores.topk(min(network.topk_candidates, len(scores)))
    places = places[scores > network.score_thresh]
    scores, labels = scores[: len(places)], labels[places] + 1
    placed = clip_boxes_to_image(boxes[places], size)
    stay = batched_nms(placed, scores, labels, network.nms_thresh)[: network.detections_per_img]
    return {"boxes": placed[stay], "scores": scores[stay], "labels": labels[stay]}
