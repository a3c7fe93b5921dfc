"""Detectors that say something: small ones of every kind, and torchvision's own, with heads that find many boxes."""

from __future__ import annotations

import copy
import functools
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD

from pipeline.models.yolo.build import build_yolo
from pipeline.models.yolo.distribution import BINS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Detector = Callable[[str], nn.Module]

SIDE = 64
CLASSES = 4


class Pyramid(nn.Module):
    """Two levels of 32 channels, at strides 4 and 8."""

    out_channels = 32

    def __init__(self) -> None:
        super().__init__()

        def block(inside: int, stride: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(inside, 32, 3, stride, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU())

        self.stem, self.first, self.second = block(3, 2), block(32, 2), block(32, 2)

    def forward(self, batch: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        """The levels by name."""
        first = self.first(self.stem(batch))
        return OrderedDict([("0", first), ("1", self.second(first))])


def _scenes(count: int, side: int = SIDE) -> tuple[list[torch.Tensor], list[dict[str, torch.Tensor]]]:
    """Images with rectangles on a soft ground, normalised, (3, side, side) each, and where the rectangles are.

    A rectangle's class, 1 to 3, is the channel in which it is bright. Images are grainy, as photographs are: between
    answers of exactly one score two sorts choose as they like.
    """
    generator = np.random.default_rng(0)
    images, truths = [], []
    for _ in range(count):
        coarse = torch.from_numpy(generator.standard_normal((1, 3, 6, 6)).astype(np.float32))
        image = nn.functional.interpolate(coarse, size=(side, side), mode="bicubic")[0] * 0.3
        boxes, labels = [], []
        for _ in range(int(generator.integers(1, 5))):
            x, y = (int(at) for at in generator.integers(0, side * 3 // 4, 2))
            right, below = (min(at + int(generator.integers(8, side // 2)), side) for at in (x, y))
            label = int(generator.integers(1, CLASSES))
            colour = generator.uniform(-2, -1, (3, 1, 1))
            colour[label - 1] = 2
            image[:, y:below, x:right] = torch.from_numpy(colour.astype(np.float32))
            boxes.append([x, y, right, below])
            labels.append(label)
        grain = torch.from_numpy(generator.standard_normal(image.shape).astype(np.float32))
        images.append(image + 0.05 * grain)
        truths.append({"boxes": torch.tensor(boxes, dtype=torch.float32), "labels": torch.tensor(labels)})
    return images, truths


def _pictures(count: int, side: int = SIDE) -> list[torch.Tensor]:
    return _scenes(count, side)[0]


def _tiny(kind: str) -> nn.Module:
    backbone = Pyramid()
    anchors = AnchorGenerator(sizes=((8,), (16,)), aspect_ratios=((0.5, 1.0, 2.0),) * 2)
    plain: dict[str, Any] = {"min_size": SIDE, "max_size": SIDE, "image_mean": [0.0] * 3, "image_std": [1.0] * 3}
    if kind == "faster-rcnn":
        few = {"rpn_pre_nms_top_n_test": 100, "rpn_post_nms_top_n_test": 60, "box_score_thresh": 0.3}
        return detection.FasterRCNN(backbone, CLASSES, rpn_anchor_generator=anchors, **few, **plain)
    if kind == "ssd":
        boxes = DefaultBoxGenerator([[2], [2]], scales=[0.1, 0.3, 0.6])
        backbone.out_channels = [32, 32]  # type: ignore[assignment] # SSD asks for those of each level
        fixed = {key: plain[key] for key in ("image_mean", "image_std")}
        return SSD(backbone, boxes, (SIDE, SIDE), CLASSES, score_thresh=0.35, topk_candidates=100, **fixed)
    if kind == "retinanet":
        return detection.RetinaNet(backbone, CLASSES, anchor_generator=anchors, topk_candidates=150, **plain)
    if kind.startswith("yolo/"):
        network = build_yolo(kind.removeprefix("yolo/"), CLASSES - 1)
        network.transform.min_size, network.transform.max_size = (SIDE,), SIDE
        return network
    points = AnchorGenerator(sizes=((4,), (8,)), aspect_ratios=((1.0,),) * 2)
    return detection.FCOS(backbone, CLASSES, anchor_generator=points, topk_candidates=150, **plain)


_ANSWERS = ("cls_logits", "cls_score", "bbox_pred", "bbox_reg", "bbox_ctrness", "module_list", "preds")
"""Parts of the names of the layers that answer."""


def _made_lively(network: Any, images: Sequence[torch.Tensor]) -> nn.Module:  # noqa: ANN401 - torchvision has no types
    """Heads get weights of a trained network's size, batch norms these images' statistics: fresh ones answer alike."""
    heads = network.head if hasattr(network, "head") else nn.ModuleList([network.rpn.head, network.roi_heads])
    for name, layer in heads.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:
                layer.bias.data.zero_()
            if any(part in name for part in _ANSWERS):
                layer.weight.data.mul_(0.5 if "bbox" in name or "reg" in name else 1.5)
            if layer.bias is not None and len(layer.bias) == 4 * BINS:  # even ones mean boxes larger than the image
                layer.weight.data.mul_(2)
                layer.bias.data.copy_(-torch.arange(BINS).repeat(4))
    _without_label_0(network)
    network.train()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # the mean over all that is seen
    with torch.no_grad():
        for _ in range(3):
            features = network.backbone(torch.stack(list(images)))
            if hasattr(network, "head"):
                network.head(list(features.values()))
    return network.eval()


def _without_label_0(network: Any) -> None:  # noqa: ANN401 - torchvision has no types
    """Nothing in a training has it: a trained RetinaNet or FCOS never says it."""
    if isinstance(network, detection.RetinaNet | detection.FCOS):
        last = network.head.classification_head.cls_logits
        last.weight.data[::CLASSES], last.bias.data[::CLASSES] = 0, -20


def _looks(kind: str) -> int:
    """At so many images for statistics: at stride 32, where these networks are deep, an image has few places."""
    return 32 if kind.startswith(("yolo/", "fasterrcnn_mobilenet")) else 4


_TRAINED = 0.1
"""Of what lively heads say of boxes: as little as a trained network moves its proposals. Where they are moved by many
times their sides, a float32's own rounding of the image (1e-7) moves what is pooled by 1e-3 and a score by 3e-4, in
PyTorch itself (float32 against float64: 6e-4): then scores of two runtimes can be compared to no thousandth."""


_STEPS = {"retinanet": 640}
"""Of the trainings: focal losses begin with scores of a hundredth."""


@pytest.fixture(scope="session")
def tiny_detector() -> Detector:
    """Makes a detector of a kind (faster-rcnn, ssd, retinanet, fcos, yolo/NAME) for images of 64x64; each time anew."""

    @functools.cache
    def made(kind: str) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return _made_lively(_tiny(kind), _pictures(_looks(kind)))

    return lambda kind: copy.deepcopy(made(kind))  # a deep one takes a second to make, and tests change what they get


@pytest.fixture(scope="session")
def torchvision_detector() -> Callable[[str, int], nn.Module]:
    """Makes a detector of torchvision, or a YOLO, by name that takes images of that side as they are."""

    def make(name: str, side: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            if name.startswith("yolo/"):
                network = build_yolo(name.removeprefix("yolo/"), CLASSES - 1)
            else:
                network = getattr(detection, name)(weights=None, weights_backbone=None, num_classes=CLASSES)
            network.transform.image_mean, network.transform.image_std = [0.0] * 3, [1.0] * 3
            network.transform.min_size, network.transform.max_size = (side,), side
            lively: Any = _made_lively(network, _pictures(_looks(name), side))
            if isinstance(lively, detection.FasterRCNN):
                for layer in (lively.rpn.head.bbox_pred, lively.roi_heads.box_predictor.bbox_pred):
                    layer.weight.data.mul_(_TRAINED)
            return lively

    return make


@pytest.fixture(scope="session")
def pictures() -> Callable[..., list[torch.Tensor]]:
    """Makes images: how many, and of which side."""
    return _pictures


@pytest.fixture(scope="session")
def trained_detector() -> Detector:
    """Makes a tiny detector of a kind that learned for some seconds where the rectangles are."""

    def make(kind: str) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = _made_lively(_tiny(kind), _pictures(4)).train()
            images, truths = _scenes(64)
            for layer in network.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.momentum = 0.1
            optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
            for step in range(_STEPS.get(kind, 160)):
                chosen = [(8 * step + place) % len(images) for place in range(8)]
                losses = network([images[one] for one in chosen], [truths[one] for one in chosen])
                optimizer.zero_grad()
                sum(losses.values()).backward()
                optimizer.step()
        return network.eval()

    return make
