"""The contract of a task: all that differs between one kind of network and another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from pipeline.artifact import Json
    from pipeline.data import Sample
    from pipeline.session import Outputs
    from pipeline.tasks.distillation.teaching import Teaching
    from pipeline.training.images import Batch

__all__ = ["Accuracy", "Task", "agreement"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Accuracy:
    """The value of a task's metric, a fraction of 1.

    Attributes:
        metric: Such as ``top1``.
        value: Over all images.
        n: Number of images.
        per_image: What each image contributed (1.0 hit, 0.0 miss), in the order of the split: for paired comparisons.
        decisions: What was decided for each image, as JSON in the task's own form (classification: the class's index),
            in the same order: for the agreement of two models, see :meth:`Task.alike`.
        calibration_error: How far the model's confidence is from how often it is right, a fraction of 1; None where
            the task has no such figure.
    """

    metric: str
    value: float
    n: int
    per_image: tuple[float, ...]
    decisions: tuple[Json, ...]
    calibration_error: float | None = None

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_json`."""
        tuples = {name: tuple(value[name]) for name in ("per_image", "decisions")}
        return cls(**{**value, **tuples})


class Task(Protocol):
    """What differs between tasks: loss, distillation, deployable form, metric.

    What a bundle's runner says of its outputs is in ``exporters/device``, in the two files of the task's name.

    Outputs come image by image: ``outputs[i]`` holds every output of the model for ``samples[i]``, so that a task may
    have several.

    Attributes:
        name: As in recipes and manifests.
        metric: As in tables, such as ``top1``.
        blind_answer: The best that can be done without looking at the image, in words; see :meth:`blind_score`.
    """

    name: str
    metric: str
    blind_answer: str

    def deployable(self, network: nn.Module) -> nn.Module:
        """The network as it is exported: static shapes, one tensor in, a tuple of tensors or one tensor out."""
        ...

    def loss(self, outputs: Tensor, batch: Batch, *, smoothing: float = 0.0) -> Tensor:
        """The training loss of a batch, a scalar. For classification outputs are (batch, classes) logits."""
        ...

    def distillation_loss(
        self, student: Tensor, teachers: Sequence[Tensor], batch: Batch, teaching: Teaching
    ) -> Tensor:
        """How far the student's outputs are from what the teachers say together, a scalar."""
        ...

    def gives_probabilities(self, outputs: Sequence[Outputs]) -> bool:
        """Whether the outputs are probabilities rather than logits."""
        ...

    def score(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> Accuracy:
        """The metric over all images, with what each contributed."""
        ...

    def blind_score(self, samples: Sequence[Sample]) -> float:
        """What the metric gives the best answer that looks at no image: a network near it has learned nothing."""
        ...

    def mean_loss(self, outputs: Sequence[Outputs], samples: Sequence[Sample]) -> float:
        """The training loss over images that are measured and not trained on; finer than the metric on few images."""
        ...

    def in_order(self, outputs: Sequence[Outputs], have: Sequence[str], want: Sequence[str]) -> Sequence[Outputs]:
        """The outputs as a network would give them whose classes stand in another order.

        Args:
            outputs: Image by image.
            have: Class names in the order of the outputs.
            want: The same names in the wanted order.
        """
        ...

    def decide(self, outputs: Sequence[Outputs]) -> tuple[Json, ...]:
        """What each image's outputs say, as :attr:`Accuracy.decisions`."""
        ...

    def alike(self, first: Sequence[Json], second: Sequence[Json]) -> tuple[bool, ...]:
        """Image by image, whether two models decide the same."""
        ...


def agreement(task: Task, first: Sequence[Json], second: Sequence[Json]) -> float:
    """Fraction of the images on which two models decide the same; 1 for none."""
    same = task.alike(first, second)
    return sum(same) / len(same) if same else 1.0
