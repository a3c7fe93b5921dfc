"""The training images as batches of tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pipeline.data.dataset import read_image
from pipeline.environment import usable_cores
from pipeline.errors import DataError
from pipeline.training.augmentation import augmented, moves_of
from pipeline.training.mixing import MIXED_KINDS, Mixed, mixed, partners
from pipeline.training.mosaic import companions, put_together, tiles_of

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

    def on(self, device: torch.device, layout: torch.memory_format) -> Batch:
        """The same there, its inputs laid out in memory as said."""
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
        self._are(task.collated(samples, preprocess), [sample.classes for sample in samples], preprocess, task)
        self._decoded = _Decoded(samples, preprocess)
        self._kept = self._keep(preprocess, progress)

    @classmethod
    def of_pixels(cls, pixels: Tensor, labels: Tensor, preprocess: PreprocessSpec, task: Task) -> Self:
        """Inputs that lie in no file of their own.

        Args:
            pixels: uint8, (images, channels, height, width).
            labels: The class of each, int64 (images,).
            preprocess: Its mean and deviation normalise them.
            task: Knows what the labels are.
        """
        images = cls.__new__(cls)
        images._are(labels, [(label,) for label in labels.tolist()], preprocess, task)  # noqa: SLF001 - its own
        images._kept = pixels  # noqa: SLF001 - its own
        return images

    def _are(self, labels: Labels, classes: list[tuple[int, ...]], preprocess: PreprocessSpec, task: Task) -> None:
        self.labels, self.classes, self._task = labels, classes, task
        self._mean, self._std = (
            torch.tensor(values, dtype=torch.float32)[:, None, None] for values in (preprocess.mean, preprocess.std)
        )

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def channels(self) -> int:
        """Of an input."""
        return len(self._mean)

    def answers(self, network: nn.Module, batch: Batch) -> Any:  # noqa: ANN401 - as of the task
        """What a network in training mode gives for a batch: see :meth:`pipeline.tasks.Task.answers`."""
        return self._task.answers(network, batch)

    def remembered(self, network: nn.Module, batch: Batch, read: Callable[[Any], Any]) -> dict[str, Tensor]:
        """What is kept of a teacher's answers to a batch: see :meth:`pipeline.tasks.Task.remembered`."""
        return self._task.remembered(network, batch.inputs, read)

    def _keep(self, preprocess: PreprocessSpec, progress: Progress) -> Tensor | None:
        shape = (len(self), *preprocess.shape[1:])
        if math.prod(shape) > _KEPT_BYTES:
            return None
        pixels = torch.empty(shape, dtype=torch.uint8)
        with progress.track("reading training images", len(self)) as ticker:
            for row in range(len(self)):
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
        if "mosaic" in augment:
            yield from self._mosaics(chunks, view, augment)
            return
        if not MIXED_KINDS.intersection(augment):
            for chunk, pixels in zip(chunks, self.pixels(chunks), strict=True):
                yield self._seen(chunk, pixels, self.labels[chunk], view, augment)
            return
        others = [partners(chunk, view, len(self)) for chunk in chunks]
        both = [torch.cat(pair) for pair in zip(chunks, others, strict=True)]
        for chunk, other, whole, pixels in zip(chunks, others, both, self.pixels(both), strict=True):
            seen = self._normalised(augmented(pixels, whole, view, augment))
            inputs, share = mixed(seen[: len(chunk)], seen[len(chunk) :], chunk, view, augment)
            within = Mixed(labels=self.labels[other], share=share)
            yield Batch(indices=chunk, inputs=inputs, labels=self.labels[chunk], view=view, mixed=within)

    def _mosaics(self, chunks: Sequence[Tensor], view: int, augment: Sequence[Augmentation]) -> Iterator[Batch]:
        """Batches of images that are put together of several before anything else is done to them."""
        parts = [(chunk, *companions(chunk, view, len(self))) for chunk in chunks]
        whole = [torch.cat(several) for several in parts]
        for several, pixels in zip(parts, self.pixels(whole), strict=True):
            chunk, size = several[0], (pixels.shape[2], pixels.shape[3])
            tiles = tiles_of(chunk, view, size)
            labels = self._task.put_together([self.labels[one] for one in several], tiles, size)
            shown: tuple[Tensor, ...] = torch.split(pixels, len(chunk))
            yield self._seen(chunk, put_together(shown, tiles), labels, view, augment)

    def _seen(self, chunk: Tensor, pixels: Tensor, labels: Labels, view: int, augment: Sequence[Augmentation]) -> Batch:
        """A view of some images, and what is known of it."""
        moves = moves_of(chunk, view, augment, (pixels.shape[2], pixels.shape[3]))
        inputs = self._normalised(augmented(pixels, chunk, view, augment, moves))
        return Batch(indices=chunk, inputs=inputs, labels=self._task.moved(labels, moves), view=view)

    def pixels(self, chunks: Sequence[Tensor]) -> Iterator[Tensor]:
        """The bytes of the images of each chunk of indices, uint8 (chunk, channels, height, width)."""
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
        """As :func:`pipeline.image_input.normalised` to the bit."""
        return (pixels.float() / 255 - self._mean) / self._std
