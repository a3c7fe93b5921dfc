"""Image classification: one label an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import DataError
from pipeline.tasks.task import Accuracy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from pipeline.data import Sample
    from pipeline.session import Array

__all__ = ["Classification"]

_ADDS_UP = 1e-3
"""Probabilities of float32 add up to 1 within this."""


class Classification:
    """Networks that give (batch, classes) logits."""

    name = "classification"
    metric = "top1"

    def deployable(self, network: nn.Module) -> nn.Module:
        """The network itself: logits out, softmax is left to the reader (it changes no decision)."""
        return network

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of (batch, classes) logits against (batch,) labels, a scalar."""
        from torch.nn import functional

        return functional.cross_entropy(outputs, labels)

    def distillation_loss(self, student: Tensor, teachers: Sequence[Tensor], *, temperature: float) -> Tensor:
        """Kullback-Leibler divergence to the mean of the teachers' softened distributions, a scalar.

        Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015 (arXiv:1503.02531), sections 2
        and 5: an ensemble is distilled from the arithmetic mean of its members' probabilities; the factor
        ``temperature ** 2`` keeps the gradient's size independent of the temperature.

        Args:
            student: Logits, (batch, classes).
            teachers: One (batch, classes) tensor of logits for each teacher.
            temperature: Softens both distributions; above 0.
        """
        import torch
        from torch.nn import functional

        target = torch.stack([functional.softmax(logits / temperature, dim=1) for logits in teachers]).mean(dim=0)
        predicted = functional.log_softmax(student / temperature, dim=1)
        return functional.kl_div(predicted, target, reduction="batchmean") * temperature**2

    def gives_probabilities(self, outputs: Sequence[Array]) -> bool:
        """Whether every image's answers are at least 0 and add up to 1: the network ends in softmax."""
        return all(bool((one >= 0).all()) and abs(float(one.sum()) - 1) < _ADDS_UP for one in outputs)

    def score(self, outputs: Sequence[Array], samples: Sequence[Sample]) -> Accuracy:
        """Top-1: the fraction of images whose largest logit is their label's."""
        answers = tuple(int(np.argmax(logits)) for logits in outputs)
        hits = tuple(float(answer == sample.label) for answer, sample in zip(answers, samples, strict=True))
        return Accuracy(metric=self.metric, value=sum(hits) / len(hits), n=len(hits), per_image=hits, answers=answers)

    def in_order(self, outputs: Sequence[Array], have: Sequence[str], want: Sequence[str]) -> Sequence[Array]:
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
        return [logits[columns] for logits in outputs]

    def agreement(self, outputs: Sequence[Array], reference: Sequence[Array]) -> float:
        """Fraction of images with the same largest logit in both."""
        same = [int(np.argmax(a) == np.argmax(b)) for a, b in zip(outputs, reference, strict=True)]
        return sum(same) / len(same)
