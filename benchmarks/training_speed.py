"""What the training loop costs beside a bare one: images a second of both, in turns, in one process.

``python -m benchmarks.training_speed`` on whatever device there is. The bare loop is what a user would write in a
notebook for the same work: the same network, augmentation, optimiser, learning rate and clipping.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Self

from pipeline.threads import rest_between_work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn

    from pipeline.data import Sample
    from pipeline.training.images import Batch, TrainingImages
    from pipeline.training.schedule import Schedule

__all__ = ["Ratio", "compare_training", "main"]

_CLASSES = 10
_MEAN, _STD = 0.5, 0.25
_REACH = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratio:
    """Images a second of two ways to train, round by round.

    Attributes:
        name: What is compared.
        ours: Of the product's loop.
        other: Of what it is compared with.
    """

    name: str
    ours: tuple[float, ...]
    other: tuple[float, ...]

    @property
    def value(self) -> float:
        """Ours over the other, the median of the rounds' own ratios."""
        return median(a / b for a, b in zip(self.ours, self.other, strict=True))

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        ours, other = median(self.ours), median(self.other)
        return {"what": self.name, "ratio": round(self.value, 3), "ours": round(ours, 1), "other": round(other, 1)}


@dataclass(slots=True)
class _Stopwatch:
    """A progress that notes when each step ended."""

    ends: list[float] = field(default_factory=list)

    def track(self, description: str, total: int, *, even: bool = True) -> _Stopwatch:  # noqa: ARG002 - protocol
        return self

    def note(self, text: str) -> None:
        """Nobody reads along."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing to close."""

    def advance(self, steps: int = 1, *, status: str = "") -> None:
        if steps and status:
            self.ends.append(time.perf_counter())

    def images_a_second(self, batch_size: int, steps_an_epoch: int) -> float:
        """Over the last epoch: the first one warms up."""
        ends = self.ends[-steps_an_epoch - 1 :]
        return batch_size * (len(ends) - 1) / (ends[-1] - ends[0])


def compare_training(*, rounds: int, side: int, images: int, precision: str = "float32") -> Iterator[Ratio]:
    """Loop against bare loop in memory and from JPEG files, and training with three remembered teachers against none.

    Args:
        rounds: How often each is trained, in turns.
        side: Of the images, pixels.
        images: How many.
        precision: As in a schedule.
    """
    from pipeline.training.schedule import Schedule

    schedule = Schedule(epochs=2, batch_size=64, augment=("flip", "shift"), precision=precision)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        samples = _jpegs(Path(folder), images, side)
        kept, bare = _images(samples, side), _Kept(samples)
        yield Ratio(
            name="loop in memory, against a bare loop",
            **_rounds(rounds, lambda: _ours(kept, schedule), lambda: _bare(bare, schedule)),
        )
        anew = _images(samples, side, keep=False)
        yield Ratio(
            name="loop from JPEG files, against a bare loop",
            **_rounds(rounds, lambda: _ours(anew, schedule), lambda: _bare(_FromFiles(samples), schedule)),
        )
        yield Ratio(
            name="three remembered teachers, against none",
            **_rounds(rounds, lambda: _ours(kept, schedule, teachers=3), lambda: _ours(kept, schedule)),
        )


def _rounds(count: int, ours: Callable[[], float], other: Callable[[], float]) -> dict[str, tuple[float, ...]]:
    found: dict[str, list[float]] = {"ours": [], "other": []}
    for number in range(count):
        ways = [("ours", ours), ("other", other)]
        for name, measure in ways if number % 2 else reversed(ways):
            found[name].append(measure())
    return {name: tuple(values) for name, values in found.items()}


def _jpegs(folder: Path, count: int, side: int) -> list[Sample]:
    """Noise as JPEG files, a third larger than they are trained on, as photos are."""
    import numpy as np
    from PIL import Image

    from pipeline.data.dataset import Sample

    samples = []
    for number in range(count):
        coarse = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        path = folder / f"{number}.jpg"
        Image.fromarray(coarse).resize((side * 4 // 3, side * 4 // 3), Image.Resampling.BICUBIC).save(path, quality=90)
        samples.append(Sample(path=path, name=path.name, label=number % _CLASSES, sha256=str(number)))
    return samples


def _images(samples: Sequence[Sample], side: int, *, keep: bool = True) -> TrainingImages:
    from unittest.mock import patch

    from pipeline.preprocess import PreprocessSpec
    from pipeline.progress import SilentProgress
    from pipeline.tasks.classification import Classification
    from pipeline.training import images

    preprocess = PreprocessSpec(size=(side, side), mean=(_MEAN,) * 3, std=(_STD,) * 3)
    with patch.object(images, "_KEPT_BYTES", images._KEPT_BYTES if keep else 0):  # noqa: SLF001 - as if there were many
        return images.TrainingImages(samples, preprocess, SilentProgress(), Classification())


def _network() -> nn.Module:
    import torch
    from torchvision.models import resnet18

    torch.manual_seed(0)
    network: nn.Module = resnet18(num_classes=_CLASSES)
    return network


def _ours(images: TrainingImages, schedule: Schedule, *, teachers: int = 0) -> float:
    import torch

    from pipeline.tasks.classification import Classification
    from pipeline.tasks.distillation.kept_logits import kept_logits
    from pipeline.tasks.distillation.teaching import Teaching
    from pipeline.training.cached_answers import TeacherAnswers
    from pipeline.training.loop import train
    from pipeline.training.student_loss import TaughtLoss

    network, watch, task = _network(), _Stopwatch(), Classification()
    said = [TeacherAnswers(kept_logits(torch.randn(len(images), 4, _CLASSES))) for _ in range(teachers)]

    def untaught(outputs: Tensor, batch: Batch) -> Tensor:
        return task.loss(outputs, batch)

    loss = TaughtLoss(task, network, images, said, Teaching()) if teachers else untaught
    train(network, images, schedule, loss, seed=0, progress=watch, description="a training")
    return watch.images_a_second(schedule.batch_size, len(images) // schedule.batch_size)


class _Kept:
    """All images in memory, augmented a batch at a time."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        import torch

        read = _FromFiles(samples)
        self._pixels = torch.stack([read[number][0] for number in range(len(samples))])
        self._labels = torch.tensor([sample.classes[0] for sample in samples])

    def __len__(self) -> int:
        return len(self._labels)

    def batches(self, order: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        for chunk in order.split(size):  # type: ignore[no-untyped-call]
            yield self._pixels[chunk], self._labels[chunk]


class _FromFiles:
    """Decoded by workers when they are wanted."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        import numpy as np
        import torch
        from PIL import Image

        sample = self._samples[number]
        with Image.open(sample.path) as opened:
            side = opened.width * 3 // 4
            image = opened.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1), sample.classes[0]

    def batches(self, order: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        from torch.utils.data import DataLoader

        from pipeline.environment import usable_cores

        chunks = [chunk.tolist() for chunk in order.split(size)]  # type: ignore[no-untyped-call]
        yield from DataLoader(self, batch_sampler=chunks, num_workers=usable_cores())  # type: ignore[arg-type]


def _bare(data: _Kept | _FromFiles, schedule: Schedule) -> float:
    import torch
    from torch.nn import functional

    from pipeline.training.hardware import precision_here
    from pipeline.training.optimizer import peak_rate

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = _network().train().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    peak = peak_rate(network, schedule)
    optimizer = torch.optim.AdamW(network.parameters(), lr=peak, betas=(0.9, 0.99), fused=True)
    steps = math.ceil(len(data) / schedule.batch_size) * schedule.epochs
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps)
    precision = precision_here(schedule.precision)
    half = torch.float16 if precision == "16-mixed" else torch.bfloat16
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "16-mixed")
    watch = _Stopwatch()
    for _ in range(schedule.epochs):
        for pixels, labels in data.batches(torch.randperm(len(data)), schedule.batch_size):
            inputs = (_augmented(pixels).float() / 255 - _MEAN) / _STD
            inputs = inputs.to(device).contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, half, enabled=precision != "32-true"):
                loss = functional.cross_entropy(network(inputs), labels.to(device))
            optimizer.zero_grad()
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(network.parameters(), schedule.clip_norm)
            scaler.step(optimizer)
            scaler.update()
            rate.step()
            watch.advance(status=f"{loss.item():.3f}")
    return watch.images_a_second(schedule.batch_size, len(data) // schedule.batch_size)


def _augmented(pixels: Tensor) -> Tensor:
    """Flips and shifts of each image of a batch, as our own loop does them, from the generator of the process."""
    import torch

    mirrored = torch.rand(len(pixels)) < 0.5
    pixels = torch.where(mirrored[:, None, None, None], pixels.flip(-1), pixels)
    for dim in (2, 3):
        side = pixels.shape[dim]
        reach = max(1, side // _REACH)
        moves = torch.randint(-reach, reach + 1, (len(pixels), 1))
        places = (torch.arange(side) + moves).clamp(0, side - 1)
        places = places[:, None, :, None] if dim == 2 else places[:, None, None, :]
        pixels = pixels.gather(dim, places.expand_as(pixels))
    return pixels


def main() -> None:
    """Print a line a comparison."""
    parser = argparse.ArgumentParser(description="images a second of the training loop beside a bare PyTorch loop")
    parser.add_argument("--rounds", type=int, default=5, help="trainings of each, in turns")
    parser.add_argument("--side", type=int, default=64, help="pixels")
    parser.add_argument("--images", type=int, default=1024, help="how many")
    parser.add_argument(
        "--precision", choices=("float32", "bf16", "fp16"), default="float32", help="what both compute in"
    )
    asked = parser.parse_args()
    rest_between_work()
    found = compare_training(rounds=asked.rounds, side=asked.side, images=asked.images, precision=asked.precision)
    for ratio in found:
        sys.stdout.write(json.dumps(ratio.to_json()) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
