"""Splits that depend on the seed and on each image's content, and on nothing else."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.data.dataset import Sample
    from pipeline.progress import Progress

__all__ = ["drop_shared", "stratified", "two_labels"]


def stratified(samples: Sequence[Sample], count: int, *, seed: int) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Choose ``count`` samples, each class by its share; returns the chosen and the rest.

    Images in which objects are to be found come in two kinds: with objects that have to be found and without.

    Within a class the choice follows a hash of seed and content, so that adding an image moves no other by more than
    its class's quota changes. The chosen come in that order, classes mixed: any first part of them is a fair sample.
    The rest keeps its order.
    """
    by_class: dict[int, list[Sample]] = defaultdict(list)
    for sample in sorted(samples, key=lambda sample: _draw(sample, seed)):
        by_class[_kind(sample)].append(sample)
    quota = _quotas({label: len(members) for label, members in by_class.items()}, min(count, len(samples)))
    chosen = [sample for label, members in by_class.items() for sample in members[: quota[label]]]
    chosen.sort(key=lambda sample: _draw(sample, seed))
    names = {sample.name for sample in chosen}
    return tuple(chosen), tuple(sample for sample in samples if sample.name not in names)


def _kind(sample: Sample) -> int:
    """Of which the same share is chosen as of all others."""
    return sample.label if isinstance(sample.label, int) else sample.label.any_counts


def _draw(sample: Sample, seed: int) -> tuple[str, str]:
    return hashlib.sha256(f"{seed}:{sample.sha256}".encode()).hexdigest(), sample.name


def _quotas(sizes: Mapping[int, int], count: int) -> dict[int, int]:
    """How many of each class (label to class size): largest remainders, ties by label."""
    total = sum(sizes.values())
    quota = {label: count * size // total for label, size in sizes.items()}
    by_remainder = sorted(sizes, key=lambda label: (-(count * sizes[label] % total), label))
    for label in by_remainder[: count - sum(quota.values())]:
        quota[label] += 1
    return quota


def drop_shared(
    samples: tuple[Sample, ...], *, of: str, others: Mapping[str, Sequence[Sample]], progress: Progress
) -> tuple[Sample, ...]:
    """The samples without those whose bytes stand in a split that comes first; each loss is told.

    Args:
        samples: The split that gives way.
        of: Its name, for the message.
        others: The splits that keep the image, by name.
        progress: Where the note goes.
    """
    for name, kept in others.items():
        hashes = {sample.sha256 for sample in kept}
        shared = [sample for sample in samples if sample.sha256 in hashes]
        if shared:
            samples = tuple(sample for sample in samples if sample.sha256 not in hashes)
            progress.note(
                f"{len(shared)} image{'s' if len(shared) > 1 else ''} of {of} also in {name} by content: left out of "
                f"{of} (first: {shared[0].name})"
            )
    return samples


def two_labels(samples: Sequence[Sample], classes: Sequence[str]) -> str | None:
    """One sentence about images that stand in folders of different classes, by their bytes; None where none does."""
    first: dict[str, Sample] = {}
    torn: dict[str, tuple[Sample, Sample]] = {}
    for sample in samples:
        other = first.setdefault(sample.sha256, sample)
        if other.label != sample.label:
            torn.setdefault(sample.sha256, (other, sample))
    if not torn:
        return None
    one, other = next(iter(torn.values()))
    many = f"{len(torn)} images stand" if len(torn) > 1 else "an image stands"
    return (
        f"{many} under two classes by content (first: {one.name} of {classes[one.classes[0]]!r} is {other.name} of "
        f"{classes[other.classes[0]]!r})"
    )
