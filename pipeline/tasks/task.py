"""The contract of a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from pipeline.data import Sample
    from pipeline.session import Array

__all__ = ["Accuracy", "Task"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Accuracy:
    """The value of a task's metric, a fraction of 1.

    Attributes:
        metric: Such as ``top1``.
        value: Over all images.
        n: Number of images.
        per_image: What each image contributed (1.0 hit, 0.0 miss), in the order of the split: for paired comparisons.
        answers: What was decided for each image (the class), in the same order: for the agreement of two models.
    """

    metric: str
    value: float
    n: int
    per_image: tuple[float, ...]
    answers: tuple[int, ...]


class Task(Protocol):
    """What differs between tasks: the loss, the distillation term, the deployable form, the metric."""

    name: str
    metric: str

    def deployable(self, network: nn.Module) -> nn.Module:
        """The network as it is exported: static shapes, one tensor in, a tuple of tensors or one tensor out."""
        ...

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The training loss of a batch, a scalar. For classification outputs are (batch, classes) logits."""
        ...

    def distillation_loss(self, student: Tensor, teachers: Sequence[Tensor], *, temperature: float) -> Tensor:
        """How far the student's outputs are from the teachers' (mean over an ensemble), a scalar."""
        ...

    def gives_probabilities(self, outputs: Sequence[Array]) -> bool:
        """Whether outputs collected image by image are probabilities rather than logits."""
        ...

    def score(self, outputs: Sequence[Array], samples: Sequence[Sample]) -> Accuracy:
        """The metric over outputs collected image by image, ``outputs[i]`` (classes,) for ``samples[i]``."""
        ...

    def in_order(self, outputs: Sequence[Array], have: Sequence[str], want: Sequence[str]) -> Sequence[Array]:
        """The outputs as a network would give them whose classes stand in another order.

        Args:
            outputs: Image by image.
            have: Class names in the order of the outputs.
            want: The same names in the wanted order.
        """
        ...

    def agreement(self, outputs: Sequence[Array], reference: Sequence[Array]) -> float:
        """Fraction of images on which two models decide the same."""
        ...
