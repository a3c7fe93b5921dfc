"""Image classification: one label an image."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import DataError
from pipeline.tasks.task import Accuracy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from pipeline.artifact import Json
    from pipeline.data import Sample
    from pipeline.session import Array, Outputs
    from pipeline.tasks.distillation.teaching import Teaching
    from pipeline.training.images import Batch

__all__ = ["Classification"]

_BINS = 15
_ADDS_UP = 1e-3
"""Probabilities of float32 add up to 1 within this."""


class Classification:
    """Networks that give (batch, classes) logits."""

    name = "classification"
    metric = "top1"
    blind_answer = "guessing the commonest class"

    def deployable(self, network: nn.Module) -> nn.Module:
        """The network itself: logits out, softmax is left to the reader (it changes no decision)."""
        return network

    def loss(self, outputs: Tensor, batch: Batch, *, smoothing: float = 0.0) -> Tensor:
        """Cross-entropy of (batch, classes) logits against the labels, mixed as the images are; a scalar."""
        from torch.nn import functional

        if batch.mixed is None:
            return functional.cross_entropy(outputs, batch.labels, label_smoothing=smoothing)
        own, other = (
            functional.cross_entropy(outputs, labels, label_smoothing=smoothing, reduction="none")
            for labels in (batch.labels, batch.mixed.labels)
        )
        return (batch.mixed.share * own + (1 - batch.mixed.share) * other).mean()

    def distillation_loss(
        self, student: Tensor, teachers: Sequence[Tensor], batch: Batch, teaching: Teaching
    ) -> Tensor:
        """The weighted sum of the losses that are asked for, each against what the teachers say together; a scalar.

        Args:
            student: Logits, (batch, classes).
            teachers: One (batch, classes) tensor of logits for each teacher.
            batch: Whose labels some losses look at.
            teaching: Which losses, and how.
        """
        from pipeline.tasks.distillation.losses import LOSSES
        from pipeline.tasks.distillation.soft_targets import ensemble_logits, standardised

        said = ensemble_logits(teachers, teaching.weighting)
        if teaching.standardise:
            student, said = standardised(student), standardised(said)
        targets = (said / teaching.temperature).softmax(dim=1)
        terms = [
            weight * LOSSES[name](student, targets, batch.labels, temperature=teaching.temperature)
            for name, weight in teaching.losses.items()
            if name in LOSSES
        ]
        return sum(terms, start=student.new_zeros(()))

    def gives_probabilities(self, outputs: Sequence[Outputs]) -> bool:
        """Whether every image's answers are at least 0 and add up to 1: the network ends in softmax."""
        return all(bool((one >= 0).all()) and abs(float(one.sum()) - 1) < _ADDS_UP for one in _logits(outputs))

    def score(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> Accuracy:
        """Top-1: the fraction of images whose largest logit is their label's."""
        classes = self.decide(outputs)
        hits = tuple(float(one == sample.label) for one, sample in zip(classes, samples, strict=True))
        return Accuracy(
            metric=self.metric,
            value=sum(hits) / len(hits),
            n=len(hits),
            per_image=hits,
            decisions=classes,
            calibration_error=_calibration_error(self._shares(outputs).max(axis=1), np.array(hits)),
        )

    def _shares(self, outputs: Sequence[Outputs]) -> Array:
        """Probabilities, (images, classes)."""
        from scipy.special import softmax

        rows: Array = np.stack(_logits(outputs)).astype(np.float64)
        shares: Array = rows if self.gives_probabilities(outputs) else softmax(rows, axis=1)
        return shares

    def blind_score(self, samples: Sequence[Sample]) -> float:
        """The share of the commonest class."""
        return max(Counter(sample.label for sample in samples).values()) / len(samples)

    def mean_loss(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> float:
        """Mean cross-entropy, nats."""
        from scipy.special import log_softmax

        likely = log_softmax(np.stack(_logits(outputs)).astype(np.float64), axis=1)
        return -float(np.mean([row[sample.label] for row, sample in zip(likely, samples, strict=True)]))

    def in_order(self, outputs: Sequence[Outputs], have: Sequence[str], want: Sequence[str]) -> Sequence[Outputs]:
        """The logits with their columns in the wanted order.

        Raises:
            DataError: when a wanted class is not among those there are.
        """
        if tuple(have) == tuple(want):
            return outputs
        place = {name: column for column, name in enumerate(have)}
        lacking = [name for name in want if name not in place]
        if lacking:
            raise DataError(
                f"the model does not know class {lacking[0]!r}",
                got=f"{len(have)} classes",
                expected="those of the data",
            )
        columns = [place[name] for name in want]
        return [(logits[columns],) for logits in _logits(outputs)]

    def decide(self, outputs: Sequence[Outputs]) -> tuple[Json, ...]:
        """The index of each image's largest logit."""
        return tuple(int(np.argmax(logits)) for logits in _logits(outputs))

    def alike(self, first: Sequence[Json], second: Sequence[Json]) -> tuple[bool, ...]:
        """Whether both say the same class."""
        return tuple(a == b for a, b in zip(first, second, strict=True))


def _calibration_error(confidence: Array, hits: Array) -> float:
    """Expected calibration error over 15 bins of equal width.

    Guo et al., "On Calibration of Modern Neural Networks", 2017 (arXiv:1706.04599), equation 3.
    """
    bins = np.clip(np.ceil(confidence * _BINS).astype(int) - 1, 0, _BINS - 1)
    gaps = [abs(float((hits - confidence)[bins == one].sum())) for one in range(_BINS)]
    return sum(gaps) / len(hits)


def _logits(outputs: Sequence[Outputs]) -> list[Array]:
    """The one output of each image, (classes,)."""
    return [logits for (logits,) in outputs]
