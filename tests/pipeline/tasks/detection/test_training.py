"""Detectors under the one training engine: moving average, warm-up, and views that move boxes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pipeline.data.boxes import Box, Objects
from pipeline.data.dataset import Sample
from pipeline.preprocess import PreprocessSpec
from pipeline.progress import SilentProgress
from pipeline.tasks.detection.detection import Detection
from pipeline.training.images import Batch, TrainingImages
from pipeline.training.loop import train
from pipeline.training.schedule import Schedule
from pipeline.training.validation import Validation

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE = 64
TASK = Detection()
SPEC = PreprocessSpec(size=(SIDE, SIDE), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, ...]:
    """A bright square in each of eight images."""
    folder, draw, made = tmp_path_factory.mktemp("squares"), np.random.default_rng(0), []
    for number in range(8):
        left, top = (int(at) for at in draw.integers(0, SIDE - 20, 2))
        pixels = draw.integers(0, 60, (SIDE, SIDE, 3)).astype(np.uint8)
        pixels[top : top + 18, left : left + 18, number % 3] = 230
        path = Path(folder, f"{number}.png")
        Image.fromarray(pixels).save(path)
        label = Objects(size=(SIDE, SIDE), boxes=(Box(number % 3, left, top, left + 18, top + 18),))
        made.append(Sample(path=path, name=path.name, label=label, sha256=str(number)))
    return tuple(made)


def _trained(
    network: nn.Module, samples: tuple[Sample, ...], validation: Validation | None = None, **fields: object
) -> tuple[list[dict[str, torch.Tensor]], list[float]]:
    """The weights before each step, the last ones' successors not among them; the rate of every epoch's last step."""
    seen: list[dict[str, torch.Tensor]] = []

    def loss(outputs: dict[str, torch.Tensor], batch: Batch) -> torch.Tensor:
        seen.append({name: value.detach().clone() for name, value in network.named_parameters()})
        return TASK.loss(outputs, batch)

    epochs = train(
        network,
        TrainingImages(samples, SPEC, SilentProgress(), TASK),
        Schedule.model_validate({"batch_size": 4, "learning_rate": 1e-2, **fields}),
        loss,
        seed=0,
        progress=SilentProgress(),
        description="a detector",
        validation=validation,
    )
    return seen, [epoch.learning_rate for epoch in epochs]


def test_the_result_is_the_moving_average_of_the_weights(
    samples: tuple[Sample, ...], tiny_detector: Callable[[str], nn.Module]
) -> None:
    last, averaged = tiny_detector("retinanet"), tiny_detector("retinanet")
    _trained(last, samples, epochs=2, augment=())
    before, _ = _trained(averaged, samples, epochs=2, augment=(), ema=0.5)

    wanted = before[1]
    for step, after in enumerate((*before[2:], dict(last.named_parameters())), start=1):
        now = min(0.5, (1 + step) / (10 + step))
        wanted = {name: now * value + (1 - now) * after[name].detach() for name, value in wanted.items()}
    found = dict(averaged.named_parameters())
    for name, value in wanted.items():
        torch.testing.assert_close(found[name].detach(), value, rtol=1e-4, atol=1e-6)


def test_the_average_is_what_validation_sees(
    samples: tuple[Sample, ...], tiny_detector: Callable[[str], nn.Module]
) -> None:
    network = tiny_detector("retinanet")
    validation = Validation(samples[:4], SPEC, TASK.reading(TASK.read_from(network)), SilentProgress())
    _trained(network, samples, validation, epochs=2, augment=("flip",), ema=0.5)

    assert 0.0 <= validation.score(network) <= 1.0
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())


def test_the_rate_rises_through_the_warm_up(
    samples: tuple[Sample, ...], tiny_detector: Callable[[str], nn.Module]
) -> None:
    _, rates = _trained(tiny_detector("ssd"), samples, epochs=8, augment=(), warmup=0.5, curve="cosine")

    assert rates[:4] == sorted(rates[:4])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert max(rates) > 8e-3


@pytest.mark.parametrize("kind", ["faster-rcnn", "ssd", "retinanet", "fcos"])
def test_detectors_learn_from_views_that_move_their_boxes(
    samples: tuple[Sample, ...], tiny_detector: Callable[[str], nn.Module], kind: str
) -> None:
    network = tiny_detector(kind)
    augment = ("mosaic", "flip", "shift", "scale", "affine", "colour", "erase")
    before, _ = _trained(network, samples, epochs=1, augment=augment)

    assert len(before) == 2
    changed = [not torch.equal(value, before[0][name]) for name, value in network.named_parameters()]
    assert all(changed)
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())
