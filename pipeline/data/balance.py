"""Whether some classes have many more training images than others."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.data.dataset import Dataset

__all__ = ["imbalance"]

_TOLD_FROM = 3.0
"""Classes count as uneven where the largest has so many times the images of the smallest."""


def imbalance(dataset: Dataset, stage: str) -> str | None:
    """One sentence about the largest and the smallest class; None where they are about alike or nothing is trained.

    Args:
        dataset: Whose training images are counted.
        stage: Which learns from them.
    """
    counts = Counter(label for sample in dataset.train for label in set(sample.learned_classes))
    if not dataset.train:
        return None
    if not counts:
        return (
            f"none of {len(dataset.train)} training images shows an object: a detector that is trained here learns none"
        )
    lacking = [name for label, name in enumerate(dataset.classes) if label not in counts]
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        return f"no training images of class {lacking[0]!r}{more}: a network that is trained here cannot learn it"
    (large, most), *_, (small, fewest) = [*counts.most_common(), *counts.most_common()[-1:]]
    if most < _TOLD_FROM * fewest:
        return None
    return (
        f"the classes are uneven: {most} training images of {dataset.classes[large]!r}, {fewest} of "
        f"{dataset.classes[small]!r}; {stage}.schedule.balanced=true draws all classes alike often"
    )
