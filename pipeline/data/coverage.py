"""Which classes an accuracy says nothing of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.data.dataset import Dataset

__all__ = ["unscored"]

_NAMED = 3


def unscored(dataset: Dataset) -> str | None:
    """One sentence about classes without test images, or about there being one class only; None where all is well."""
    if len(dataset.classes) == 1 and all(isinstance(sample.label, int) for sample in dataset.test):
        return (
            f"{dataset.classes[0]!r} is the only class: whatever a network answers is right, its accuracy says nothing"
        )
    scored = {label for sample in dataset.test for label in sample.scored_classes}
    lacking = [repr(name) for label, name in enumerate(dataset.classes) if label not in scored]
    if not lacking:
        return None
    more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
    return f"no test images of class {', '.join(lacking[:_NAMED])}{more}: how well they are recognised is not measured"
