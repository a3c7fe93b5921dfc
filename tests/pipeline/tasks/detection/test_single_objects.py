"""What a backbone learns first: the objects, and places without any, cut out of the images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pipeline.data.boxes import Box, Objects
from pipeline.data.dataset import Sample
from pipeline.preprocess import PreprocessSpec
from pipeline.progress import SilentProgress
from pipeline.tasks.detection import single_objects
from pipeline.tasks.detection.detection import Detection
from pipeline.tasks.detection.single_objects import cut_out, lesson_of_objects
from pipeline.training.images import TrainingImages

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = (60, 80)
PLACES = [(10, 12, 30, 36), (50, 30, 70, 58), (0, 0, 24, 16), (66, 4, 80, 20), (40, 2, 46, 8)]
"""The last one is smaller than what is worth a look."""


def _training(folder: Path, preprocess: PreprocessSpec) -> TrainingImages:
    """One object an image, of a brightness of its class, on dark ground; and an image without any."""
    samples = []
    for number, place in enumerate([*PLACES, None]):
        pixels = np.zeros((*SIZE, 3), dtype=np.uint8)
        boxes = ()
        if place is not None:
            left, top, right, bottom = place
            pixels[top:bottom, left:right] = 100 + 40 * (number % 3)
            boxes = (Box(number % 3, *place),)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        label = Objects(size=(SIZE[1], SIZE[0]), boxes=boxes)
        path = Path(folder, f"{number}.png")
        samples.append(Sample(path=path, name=path.name, label=label, sha256=str(number)))
    return TrainingImages(samples, preprocess, SilentProgress(), Detection())


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> TrainingImages:
    """In colours."""
    preprocess = PreprocessSpec(size=SIZE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    return _training(tmp_path_factory.mktemp("objects"), preprocess)


def test_every_object_is_cut_out_with_what_is_around_it(images: TrainingImages) -> None:
    pixels, labels = cut_out(images, classes=3, side=32)

    objects = pixels[labels < 3]
    assert (pixels.shape[1:], pixels.dtype) == ((3, 32, 32), torch.uint8)
    assert labels[labels < 3].tolist() == [0, 1, 2, 0]  # not the one of 6 pixels
    for cut, label, (left, top, right, bottom) in zip(objects, labels[labels < 3].tolist(), PLACES, strict=False):
        bright = (cut[0] > 50).float()
        side = 1.5 * max(right - left, bottom - top)
        assert int(cut.max()) == 100 + 40 * label
        assert float(bright.mean()) == pytest.approx((right - left) * (bottom - top) / side**2, abs=0.06)


def test_empty_places_show_hardly_anything_of_an_object(images: TrainingImages) -> None:
    pixels, labels = cut_out(images, classes=3, side=32)

    empty = pixels[labels == 3]
    assert 3 <= len(empty) <= 6
    assert float((empty[:, 0] > 50).float().mean(dim=(1, 2)).max()) < 0.45  # the context may


def test_of_many_objects_some_are_cut_out(images: TrainingImages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single_objects, "_MOST", 2)
    _, labels = cut_out(images, classes=3, side=32)

    assert 0 < int((labels < 3).sum()) < 4


def test_the_same_is_cut_out_again(images: TrainingImages) -> None:
    first, second = (cut_out(images, classes=3, side=32) for _ in range(2))

    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


@pytest.mark.parametrize("kind", ["faster-rcnn", "ssd", "retinanet", "fcos"])
def test_the_lesson_trains_the_detector_s_own_backbone(
    images: TrainingImages, tiny_detector: Callable[[str], nn.Module], kind: str
) -> None:
    detector: Any = tiny_detector(kind)
    lesson = lesson_of_objects(detector, images, classes=3)

    assert lesson is not None
    assert set(lesson.network.parameters()) > set(detector.backbone.parameters())
    logits = lesson.network(lesson.pixels.float())
    assert logits.shape == (len(lesson.labels), 4)
    assert "4 objects" not in lesson.told
    assert f"{len(lesson.labels)} objects and empty places of 64x64 pixels" in lesson.told
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in detector.backbone.parameters())


def test_a_backbone_that_takes_no_small_image_gets_larger_ones_or_no_lesson(images: TrainingImages) -> None:
    class Wide(nn.Module):
        def __init__(self, reach: int) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 4, reach)

        def forward(self, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"0": self.layer(inputs)}

    found = []
    for reach in (90, 200):
        detector = nn.Module()
        detector.backbone = Wide(reach)
        lesson = lesson_of_objects(detector, images, classes=3)
        found.append(None if lesson is None else lesson.pixels.shape[-1])
    assert found == [96, None]


@pytest.mark.parametrize("answer", [None, []])
def test_a_backbone_that_fails_on_small_images_in_its_own_way_has_no_lesson(
    images: TrainingImages, answer: object
) -> None:
    class Sized(nn.Module):
        def forward(self, inputs: torch.Tensor) -> object:
            assert answer is not None or inputs.shape[-1] == 320
            return answer

    detector = nn.Module()
    detector.backbone = Sized()

    assert lesson_of_objects(detector, images, classes=3) is None


def test_a_backbone_of_gray_images_learns_from_gray_objects(tmp_path: Path) -> None:
    detector = nn.Module()
    detector.backbone = nn.Conv2d(1, 4, 3)
    images = _training(tmp_path, PreprocessSpec(size=SIZE, mean=(0.5,), std=(0.5,), channels="gray"))
    lesson = lesson_of_objects(detector, images, classes=3)

    assert lesson is not None
    assert lesson.network(lesson.pixels.float()).shape == (len(lesson.labels), 4)


def test_a_network_without_a_backbone_has_no_lesson(images: TrainingImages) -> None:
    assert lesson_of_objects(nn.Linear(1, 1), images, classes=3) is None
