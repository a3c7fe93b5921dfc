"""What a training came to, epoch by epoch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.artifact import Json

__all__ = ["Epoch", "best_of", "curve_to_json", "epochs_no_better"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """What an epoch came to.

    Attributes:
        steps: Done by its end.
        loss: Mean over its steps.
        learning_rate: Of its last step.
        validation: The task's metric on the images that were held back, a fraction of 1; None without such.
    """

    steps: int
    loss: float
    learning_rate: float
    validation: float | None = None

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return asdict(self)


def best_of(epochs: Sequence[Epoch]) -> int | None:
    """The number of the best epoch, from 0; of equals the later one, which has learned longer. None: nobody judged."""
    judged = [(epoch.validation, number) for number, epoch in enumerate(epochs) if epoch.validation is not None]
    return max(judged)[1] if judged else None


def epochs_no_better(epochs: Sequence[Epoch]) -> int:
    """How many epochs there were since the first that was as good as any: those that equal it are no better."""
    scores = [epoch.validation for epoch in epochs if epoch.validation is not None]
    return len(scores) - 1 - scores.index(max(scores)) if scores else 0


def curve_to_json(name: str, epochs: Sequence[Epoch]) -> dict[str, Json]:
    """A training as its stage's facts tell it.

    Args:
        name: For people.
        epochs: All of it.
    """
    return {"name": name, "epochs": [epoch.to_json() for epoch in epochs], "best": best_of(epochs)}
