"""How good a network is on images that were held back from its training: what the best epoch is chosen by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pipeline.training.hardware import layout_for
from pipeline.training.images import TrainingImages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from pipeline.data import Sample
    from pipeline.preprocess import PreprocessSpec
    from pipeline.progress import Progress
    from pipeline.session import Outputs
    from pipeline.subject import Subject
    from pipeline.tasks import Task

__all__ = ["Validation"]

_IMAGES_A_PASS = 128


class Validation:
    """Some images, ready to score a network.

    Args:
        samples: Of these images.
        preprocess: How the network is fed.
        task: Scores.
        progress: Told while the images are decoded.
    """

    def __init__(self, samples: Sequence[Sample], preprocess: PreprocessSpec, task: Task, progress: Progress) -> None:
        self._task, self._samples, self._preprocess = task, samples, preprocess
        self._images = TrainingImages(samples, preprocess, progress, task)

    @classmethod
    def of(cls, subject: Subject, progress: Progress) -> Validation | None:
        """The images that are held back from training; None where none are."""
        held = subject.validation
        return cls(held, subject.preprocess, subject.task, progress) if held else None

    def score(self, network: nn.Module) -> float:
        """The task's metric, a fraction of 1; the network is left in the mode it was in."""
        return self._task.score(self.outputs(network), self._samples).value

    def outputs(self, network: nn.Module) -> Sequence[Outputs]:
        """What it answers, image by image; the network is left in the mode it was in."""
        training, device = network.training, next(network.parameters()).device
        network.eval()
        layout = layout_for(network, self._images.first(2).to(device))
        rows: list[Outputs] = []
        with torch.no_grad():
            for batch in self._images.batches(torch.arange(len(self._images)), _IMAGES_A_PASS):
                rows.extend(self._task.outputs_of(network, batch.on(device, layout).inputs))
        network.train(training)
        return self._task.in_images(rows, self._samples, self._preprocess)
