"""How good a network is on images that were held back from its training: what the best epoch is chosen by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pipeline.training.images import TrainingImages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from pipeline.progress import Progress
    from pipeline.session import Outputs
    from pipeline.subject import Subject

__all__ = ["Validation"]

_IMAGES_A_PASS = 128


class Validation:
    """The held-back images, ready to score a network.

    Args:
        subject: Names them; its task scores.
        progress: Told while the images are decoded.
    """

    def __init__(self, subject: Subject, progress: Progress) -> None:
        self._task, self._samples, self._preprocess = subject.task, subject.validation, subject.preprocess
        self._images = TrainingImages(subject.validation, subject.preprocess, progress, subject.task)

    @classmethod
    def of(cls, subject: Subject, progress: Progress) -> Validation | None:
        """None where no images are held back."""
        return cls(subject, progress) if subject.validation else None

    def score(self, network: nn.Module) -> float:
        """The task's metric, a fraction of 1; the network is left in the mode it was in."""
        return self._task.score(self.outputs(network), self._samples).value

    def outputs(self, network: nn.Module) -> Sequence[Outputs]:
        """What it answers, image by image; the network is left in the mode it was in."""
        training, device = network.training, next(network.parameters()).device
        network.eval()
        rows: list[Outputs] = []
        with torch.no_grad():
            for batch in self._images.batches(torch.arange(len(self._images)), _IMAGES_A_PASS):
                rows.extend(self._task.outputs_of(network, batch.on(device).inputs))
        network.train(training)
        return self._task.in_images(rows, self._samples, self._preprocess)
