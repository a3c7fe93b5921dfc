"""The training images as batches of tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pipeline.data.dataset import read_image
from pipeline.environment import usable_cores
from pipeline.errors import DataError
from pipeline.training.augmentation import augmented, moves_of
from pipeline.training.mixing import MIXED_KINDS, Mixed, mixed, partners

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn

    from pipeline.data import Sample
    from pipeline.preprocess import PreprocessSpec
    from pipeline.progress import Progress
    from pipeline.tasks import Labels, Task
    from pipeline.training.schedule import Augmentation

__all__ = ["Batch", "TrainingImages"]

_KEPT_BYTES = 1 << 30
"""Sets whose pixels need less are decoded once and kept; larger ones are decoded anew in every epoch."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some images.

    Attributes:
        indices: Which images of the split these are, (batch,); always on the CPU.
        inputs: As a network sees them, float32 (batch, channels, height, width).
        labels: What is known of them, as the task's loss takes it (classification: the classes, int64 (batch,)).
        view: Which view of the images these are.
        mixed: What was mixed into them, where anything was.
    """

    indices: Tensor
    inputs: Tensor
    labels: Labels
    view: int
    mixed: Mixed | None = None

    def on(self, device: torch.device, layout: torch.memory_format = torch.channels_last) -> Batch:
        """The same there, its inputs laid out in memory as said: with the channels last, as convolutions like them."""
        inputs, labels = self.inputs.to(device, non_blocking=True), self.labels.to(device, non_blocking=True)
        mixed = self.mixed and Mixed(self.mixed.labels.to(device), self.mixed.share.to(device))
        inputs = inputs.contiguous(memory_format=layout)
        return replace(self, inputs=inputs, labels=labels, mixed=mixed)


class _Decoded(Dataset["Tensor"]):
    """Decodes a sample when it is asked for: uint8 (channels, height, width)."""

    def __init__(self, samples: Sequence[Sample], preprocess: PreprocessSpec) -> None:
        self._samples = samples
        self._preprocess = preprocess

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Tensor:
        pixels = read_image(self._samples[index], self._preprocess, "uint8")
        return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)  # a copy: Pillow lends its own memory


class TrainingImages:
    """Labelled inputs that can be walked through in a seeded order, again and again.

    Args:
        samples: The training split.
        preprocess: The same steps as everywhere else.
        progress: Told while the images are decoded.
        task: Knows what the labels are.

    Raises:
        DataError: when there is nothing to train on, or an image cannot be decoded.
    """

    def __init__(self, samples: Sequence[Sample], preprocess: PreprocessSpec, progress: Progress, task: Task) -> None:
        if not samples:
            raise DataError(
                "there are no training images",
                expected="a folder with train/, or with class folders alone",
                fix="add training images, or give --weights and --skip distill,prune",
            )
        self._decoded = _Decoded(samples, preprocess)
        self._mean, self._std = (
            torch.tensor(values, dtype=torch.float32)[:, None, None] for values in (preprocess.mean, preprocess.std)
        )
        self._task = task
        self.labels = task.collated(samples, preprocess)
        self.classes = [sample.classes for sample in samples]
        self._kept = self._keep(preprocess, progress)

    def __len__(self) -> int:
        return len(self._decoded)

    def answers(self, network: nn.Module, batch: Batch) -> Any:  # noqa: ANN401 - as of the task
        """What a network in training mode gives for a batch: see :meth:`pipeline.tasks.Task.answers`."""
        return self._task.answers(network, batch)

    def remembered(self, network: nn.Module, batch: Batch, read: Callable[[Any], Any]) -> dict[str, Tensor]:
        """What is kept of a teacher's answers to a batch: see :meth:`pipeline.tasks.Task.remembered`."""
        return self._task.remembered(network, batch.inputs, read)

    def _keep(self, preprocess: PreprocessSpec, progress: Progress) -> Tensor | None:
        shape = (len(self._decoded), *preprocess.shape[1:])
        if math.prod(shape) > _KEPT_BYTES:
            return None
        pixels = torch.empty(shape, dtype=torch.uint8)
        with progress.track("reading training images", len(self._decoded)) as ticker:
            for row in range(len(self._decoded)):
                pixels[row] = self._decoded[row]
                ticker.advance()
        return pixels

    def first(self, count: int) -> Tensor:
        """The inputs of the first images, (at most count, channels, height, width): for a look at a network."""
        if self._kept is not None:
            return self._normalised(self._kept[:count])
        return self._normalised(torch.stack([self._decoded[index] for index in range(min(count, len(self)))]))

    def batches(
        self, order: Tensor, batch_size: int, *, view: int = 0, augment: Sequence[Augmentation] = ()
    ) -> Iterator[Batch]:
        """Batches in the given order; the last one may be smaller.

        Args:
            order: Indices into the split, (n,).
            batch_size: Images a batch.
            view: Which view of every image.
            augment: What changes from view to view; nothing: every view is the image itself.
        """
        chunks: tuple[Tensor, ...] = torch.split(order, batch_size) if len(order) else ()
        if not MIXED_KINDS.intersection(augment):
            for chunk, pixels in zip(chunks, self._pixels(chunks), strict=True):
                moves = moves_of(chunk, view, augment, (pixels.shape[2], pixels.shape[3]))
                inputs = self._normalised(augmented(pixels, chunk, view, augment, moves))
                labels = self._task.moved(self.labels[chunk], moves)
                yield Batch(indices=chunk, inputs=inputs, labels=labels, view=view)
            return
        others = [partners(chunk, view, len(self)) for chunk in chunks]
        both = [torch.cat(pair) for pair in zip(chunks, others, strict=True)]
        for chunk, other, whole, pixels in zip(chunks, others, both, self._pixels(both), strict=True):
            seen = self._normalised(augmented(pixels, whole, view, augment))
            inputs, share = mixed(seen[: len(chunk)], seen[len(chunk) :], chunk, view, augment)
            within = Mixed(labels=self.labels[other], share=share)
            yield Batch(indices=chunk, inputs=inputs, labels=self.labels[chunk], view=view, mixed=within)

    def _pixels(self, chunks: Sequence[Tensor]) -> Iterator[Tensor]:
        """The bytes of each chunk, uint8 (chunk, channels, height, width)."""
        if self._kept is not None:
            for chunk in chunks:
                yield self._kept[chunk]
            return
        loader = DataLoader(
            self._decoded, batch_sampler=[chunk.tolist() for chunk in chunks], num_workers=usable_cores()
        )
        decoded = iter(loader)
        for chunk in chunks:
            try:
                pixels = next(decoded)
            except DataError:
                # A worker's error arrives as a text with its traceback; read here, it names the file again.
                for index in chunk.tolist():
                    self._decoded[index]
                raise
            yield pixels

    def _normalised(self, pixels: Tensor) -> Tensor:
        """As :func:`pipeline.preprocess.normalised` to the bit."""
        return (pixels.float() / 255 - self._mean) / self._std
