"""Jobs beside the smallest one, which take runs through what it leaves out: teachers, goals, boxes, unfinished work."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.reliability.tiny_job import write_colours

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BOXES", "LEAVING", "TAUGHT", "write_further_jobs"]

TAUGHT = "taught.yaml"
"""The recipe of a classifier that learns from a teacher and is brought to a goal."""

BOXES = "boxes.yaml"
"""That of a detector."""

LEAVING = "leaving.yaml"
"""That of a classifier whose stages leave all that a killed one can: it is trained for several epochs, a teacher asked
about several views, and so many images calibrate that what was seen of some of them is kept."""

_TAUGHT = """\
model: net.py:tiny
data: {source: colours}
input: {size: 16, resize: squash, mean: 0.5, std: 0.25}
goal: {macs: 0.6x}
baseline: {schedule: {epochs: 1, batch_size: 16}}
distill: {teachers: ['net.py:tiny'], schedule: {epochs: 1, batch_size: 16}, teacher_schedule: {epochs: 1}}
prune: {schedule: {epochs: 1, batch_size: 16}}
build: {precision: int8, budget_s: 0}
measure: {processes: 1, iterations: 12}
"""
_BOXES = """\
model: detector.py:detector
task: detection
data: {source: squares}
input: {size: 48, resize: squash, mean: 0.5, std: 0.25}
baseline: {objects_first: false, schedule: {epochs: 2, batch_size: 8, learning_rate: 3e-3, augment: [flip]}}
prune: {schedule: {epochs: 1, batch_size: 8}}
skip: [distill]
build: {precision: float, budget_s: 0}
measure: {processes: 1, iterations: 12, examples: 1}
"""
_LEAVING = """\
model: net.py:tiny
data: {source: many, calibration_list: calibration.txt}
input: {size: 32, resize: squash, mean: 0.5, std: 0.25}
baseline: {schedule: {epochs: 8, batch_size: 16}}
distill: {teachers: ['net.py:tiny'], schedule: {epochs: 8, batch_size: 16}, teacher_schedule: {epochs: 1}}
skip: [prune]
build: {precision: int8, budget_s: 0}
"""
_MANY, _WATCHED = 80, 60
"""Of each of the three colours: to train with and to watch, and how many are watched. After every 64 what was seen is
kept: most of the two passes over 180 lies behind the first time."""
_DETECTOR = """\
from torch import nn
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator


class Body(nn.Module):
    out_channels = 32

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(*(
            nn.Sequential(nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
            for a, b, stride in ((3, 16, 2), (16, 32, 2), (32, 32, 1))
        ))

    def forward(self, images):
        return {"0": self.layers(images)}


def detector(num_classes):
    anchors = AnchorGenerator(sizes=((16,),), aspect_ratios=((1.0,),))
    return RetinaNet(Body(), num_classes, anchor_generator=anchors, score_thresh=0.05, topk_candidates=100)
"""
_SIDE = 48


def write_further_jobs(folder: Path) -> None:
    """Write their networks, images and recipes beside those of the smallest job."""
    (folder / TAUGHT).write_text(_TAUGHT, encoding="utf-8")
    (folder / LEAVING).write_text(_LEAVING, encoding="utf-8")
    write_colours(folder / "many", train=_MANY, val=24)
    watched = [f"train/{name}/{number:03}.png" for name in ("red", "green", "blue") for number in range(_WATCHED)]
    (folder / "calibration.txt").write_text("\n".join(watched), encoding="utf-8")
    (folder / BOXES).write_text(_BOXES, encoding="utf-8")
    (folder / "detector.py").write_text(_DETECTOR, encoding="utf-8")
    _write_squares(folder / "squares")


def _write_squares(folder: Path) -> None:
    """A bright square of one of two colours on dark ground, an image each, and COCO's JSON of them."""
    from PIL import Image

    draw = np.random.default_rng(0)
    (folder / "annotations").mkdir(parents=True)
    for part, count in (("train", 32), ("val", 12)):
        (folder / part).mkdir()
        images, boxes = [], []
        for number in range(count):
            pixels = draw.integers(0, 40, (_SIDE, _SIDE, 3)).astype(np.uint8)
            label, top, left = int(draw.integers(2)), int(draw.integers(_SIDE - 16)), int(draw.integers(_SIDE - 16))
            pixels[top : top + 14, left : left + 14, label] = 230
            Image.fromarray(pixels).save(folder / part / f"{number:02}.png")
            images.append({"id": number, "file_name": f"{number:02}.png", "width": _SIDE, "height": _SIDE})
            boxes.append({"id": number + 1, "image_id": number, "category_id": label, "bbox": [left, top, 14, 14]})
        classes = [{"id": 0, "name": "red"}, {"id": 1, "name": "green"}]
        document = {"images": images, "annotations": boxes, "categories": classes}
        (folder / "annotations" / f"instances_{part}.json").write_text(json.dumps(document), encoding="utf-8")
