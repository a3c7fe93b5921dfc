"""SSD, RetinaNet, FCOS and YOLO with static shapes: one look at the image, candidates from all places of all levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from pipeline.tasks.detection.deployable.candidates import MOST_CANDIDATES, likeliest, likeliest_places, place_and_class
from pipeline.tasks.detection.deployable.geometry import anchors_of, clipped, framed, image_border, pyramid

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FcosForm", "OneStageForm", "RetinaNetForm", "SsdForm", "YoloForm"]


class OneStageForm(nn.Module):
    """What they have in common; the parts keep the names that they have in the network.

    Args:
        network: The eager detector, in eval mode; its weights are shared.
        size: Height and width of the one image it takes.
        channels: Of that image.

    Attributes:
        classes: How many it can name; labels are 1 to that.
    """

    background = 1
    """Columns of the head's scores that are no class; they come first."""
    anchors: Tensor
    border: Tensor

    def __init__(self, network: Any, size: tuple[int, int], channels: int = 3) -> None:  # noqa: ANN401 - torchvision has no types
        super().__init__()
        self.backbone = network.backbone
        self.head = network.head
        self._coder = network.box_coder
        self._most = int(network.topk_candidates)
        self._stride = int(network.transform.size_divisible)
        with torch.no_grad():
            image = framed(torch.zeros(1, channels, *size, device=next(network.parameters()).device), self._stride)
            features = pyramid(self.backbone, image)
            anchors = anchors_of(network.anchor_generator, image, features, size)
            self.classes = int(self.head(list(features.values()))["cls_logits"].shape[-1]) - self.background
        places = [feature.shape[2] * feature.shape[3] for feature in features.values()]
        each = anchors.shape[0] // sum(places)
        self._levels = [count * each for count in places]
        self.register_buffer("anchors", anchors, persistent=False)
        self.register_buffer("border", image_border(size).to(anchors.device), persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (1, k, 4), scores (1, k), labels (1, k) of a normalised image (1, channels, height, width)."""
        features = pyramid(self.backbone, framed(image, self._stride))
        said = {name: one[0] for name, one in self.head(list(features.values())).items()}
        scores, places, labels = self._candidates(said)
        scores, chosen = likeliest(scores, MOST_CANDIDATES)
        # index_select, not an index in brackets, which becomes a GatherND
        places = places.index_select(0, chosen)
        codes, anchors = said["bbox_regression"].index_select(0, places), self.anchors.index_select(0, places)
        boxes = clipped(self.decoded(codes, anchors), self.border)
        return boxes[None], scores[None], labels.index_select(0, chosen)[None]

    def likelihoods(self, said: dict[str, Tensor]) -> Tensor:
        """How likely each anchor shows each class but the background, 0 to 1, (..., anchors, classes).

        Args:
            said: By the head, (..., anchors, numbers) each.
        """
        raise NotImplementedError

    def decoded(self, codes: Tensor, anchors: Tensor) -> Tensor:
        """Boxes (k, 4) in pixels from what the head says of anchors."""
        boxes: Tensor = self._coder.decode_single(codes, anchors)
        return boxes

    def _candidates(self, said: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Scores, anchors and labels of what may be a detection, (candidates,) each.

        Args:
            said: By the head, (anchors, ...) each.
        """
        raise NotImplementedError

    def _likeliest_of_levels(self, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The likeliest of each level, as :meth:`_candidates` gives them.

        Args:
            scores: (anchors, classes) without the background, or what rises with them.
        """
        found, places, labels = [], [], []
        first = 0
        for level in torch.split(scores, self._levels):
            highest, index = likeliest(level.reshape(-1), self._most)
            place, label = place_and_class(index, scores.shape[1])
            found.append(highest)
            places.append(place + first)
            labels.append(label + 1)
            first += level.shape[0]
        return torch.cat(found), torch.cat(places), torch.cat(labels)


class SsdForm(OneStageForm):
    """SSD and SSDlite: softmax over the classes, the likeliest anchors of each class."""

    def likelihoods(self, said: dict[str, Tensor]) -> Tensor:
        """Of every class but the background, which is the first."""
        return said["cls_logits"].softmax(dim=-1)[..., 1:]

    def _candidates(self, said: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        by_class = self.likelihoods(said).T
        highest, places = torch.topk(by_class, min(self._most, MOST_CANDIDATES, by_class.shape[1]), dim=1)
        classes = torch.arange(1, by_class.shape[0] + 1, device=highest.device)
        return highest.reshape(-1), places.reshape(-1), classes[:, None].expand_as(places).reshape(-1)


class RetinaNetForm(OneStageForm):
    """RetinaNet: a sigmoid for each class, the likeliest of each level.

    Its first score is nobody's: labels count from 1. torchvision would give it out as label 0 where it is high.
    """

    def likelihoods(self, said: dict[str, Tensor]) -> Tensor:
        """Of every class but the first, which has no name."""
        return said["cls_logits"][..., 1:].sigmoid()

    def _candidates(self, said: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        logits, places, labels = self._likeliest_of_levels(said["cls_logits"][..., 1:])
        return logits.sigmoid(), places, labels


class FcosForm(OneStageForm):
    """FCOS: the geometric mean of a class's sigmoid and the centre-ness, the likeliest of each level.

    Its first score is nobody's, as RetinaNet's.
    """

    def likelihoods(self, said: dict[str, Tensor]) -> Tensor:
        """Of every class but the first; by logarithms, so that there is a slope where both sigmoids are next to 0."""
        logits, centred = said["cls_logits"][..., 1:], said["bbox_ctrness"]
        return (0.5 * (functional.logsigmoid(logits) + functional.logsigmoid(centred))).exp()

    def _candidates(self, said: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        logits, centred = said["cls_logits"][..., 1:], said["bbox_ctrness"]
        return self._likeliest_of_levels((logits.sigmoid() * centred.sigmoid()).sqrt())

    def decoded(self, codes: Tensor, anchors: Tensor) -> Tensor:
        """See :class:`OneStageForm`."""
        boxes: Tensor = self._coder.decode(codes, anchors)
        return boxes


class YoloForm(OneStageForm):
    """YOLO: of every place its likeliest class, the likeliest places of all levels."""

    background = 0

    def likelihoods(self, said: dict[str, Tensor]) -> Tensor:
        """As the head means it."""
        likely: Tensor = self.head.likelihoods(said)
        return likely

    def _candidates(self, said: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        return likeliest_places(self.likelihoods(said), self._most)
