"""The training images as batches of tensors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pipeline.data.dataset import read_image
from pipeline.environment import usable_cores
from pipeline.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from pipeline.data import Sample
    from pipeline.preprocess import PreprocessSpec
    from pipeline.progress import Progress

__all__ = ["TrainingImages"]

_KEPT_BYTES = 1 << 30
"""Sets whose inputs need less are decoded once and kept; larger ones are decoded anew in every epoch."""


class _Decoded(Dataset[tuple["Tensor", int]]):
    """Decodes a sample when it is asked for."""

    def __init__(self, samples: Sequence[Sample], preprocess: PreprocessSpec) -> None:
        self._samples = samples
        self._preprocess = preprocess

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        sample = self._samples[index]
        return torch.from_numpy(read_image(sample, self._preprocess)), sample.label


class TrainingImages:
    """Labelled inputs that can be walked through in a seeded order, again and again.

    Args:
        samples: The training split.
        preprocess: The same steps as everywhere else.
        progress: Told while the images are decoded.

    Raises:
        DataError: when there is nothing to train on, or an image cannot be decoded.
    """

    def __init__(self, samples: Sequence[Sample], preprocess: PreprocessSpec, progress: Progress) -> None:
        if not samples:
            raise DataError(
                "there are no training images",
                expected="a folder with train/, or with class folders alone",
                fix="add training images, or give --weights and --skip distill,prune",
            )
        self._decoded = _Decoded(samples, preprocess)
        self.labels = torch.tensor([sample.label for sample in samples])
        self._kept = self._keep(samples, preprocess, progress)

    def __len__(self) -> int:
        return len(self._decoded)

    @staticmethod
    def _keep(samples: Sequence[Sample], preprocess: PreprocessSpec, progress: Progress) -> Tensor | None:
        shape = (len(samples), *preprocess.shape[1:])
        if math.prod(shape) * 4 > _KEPT_BYTES:
            return None
        inputs = np.empty(shape, dtype=np.float32)
        with progress.track("reading training images", len(samples)) as ticker:
            for row, sample in enumerate(samples):
                inputs[row] = read_image(sample, preprocess)
                ticker.advance()
        return torch.from_numpy(inputs)

    def first(self, count: int) -> Tensor:
        """The inputs of the first images, (at most count, channels, height, width): for a look at a network."""
        if self._kept is not None:
            return self._kept[:count]
        return torch.stack([self._decoded[index][0] for index in range(min(count, len(self)))])

    def batches(self, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Batches in the given order; the last one may be smaller.

        Args:
            order: Indices into the split, (n,).
            batch_size: Images a batch.

        Yields:
            ``(indices, inputs, labels)``: (batch,), float32 (batch, 3, height, width), (batch,).
        """
        chunks: tuple[Tensor, ...] = torch.split(order, batch_size)
        if self._kept is not None:
            for chunk in chunks:
                yield chunk, self._kept[chunk], self.labels[chunk]
            return
        loader = DataLoader(
            self._decoded, batch_sampler=[chunk.tolist() for chunk in chunks], num_workers=usable_cores()
        )
        decoded = iter(loader)
        for chunk in chunks:
            try:
                inputs, labels = next(decoded)
            except DataError:
                # A worker's error arrives as a text with its traceback; read here, it names the file again.
                for index in chunk.tolist():
                    self._decoded[index]
                raise
            yield chunk, inputs, labels
