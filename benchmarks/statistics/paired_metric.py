"""What a metric loses from one model to another on the same images, whatever task it is of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.statistics.paired_proportions import accuracy_drop, mcnemar, proportion_interval, sign_flips

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.artifact import Json
    from pipeline.tasks import Accuracy, Task

__all__ = [
    "BOOTSTRAPS",
    "MetricDrop",
    "drop_of_hits",
    "interval",
    "metric_drop",
    "p_of_each_and_all",
    "p_of_no_difference",
    "upper_bound",
]

BOOTSTRAPS = 1000
_KEPT = 32
"""Models whose draws are remembered: a report asks for those of each in several rows, a minute a model for COCO's 5,000
images."""
_KNOWN: dict[tuple[str, bytes], tuple[float, ...]] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricDrop:
    """A metric of two models on the same images, fractions of 1.

    Attributes:
        baseline: Of the one.
        candidate: Of the other.
        estimate: Baseline minus candidate.
        low: One-sided lower bound of the drop at the level ``1 - alpha``, for the images these are drawn from.
        high: One-sided upper bound.
        n: Images.
        nothing_lost: Whether no image was answered worse.
        method: How the bounds came about.
        counted: What was counted, in words.
    """

    baseline: float
    candidate: float
    estimate: float
    low: float
    high: float
    n: int
    nothing_lost: bool
    method: str
    counted: str


def metric_drop(task: Task, baseline: Accuracy, candidate: Accuracy, *, alpha: float) -> MetricDrop:
    """The drop of the task's metric: :func:`drop_of_hits` where an image is a hit or a miss, else by the bootstrap.

    Metrics that are no mean over images: images are drawn with replacement, both models' metrics are computed over the
    same draw from what each image contributed, and the bounds are quantiles of the differences; Efron and Tibshirani,
    "An Introduction to the Bootstrap", 1993, chapter 13. The draws are seeded: the same figures give the same bounds.

    Args:
        task: Of both.
        baseline: On some images.
        candidate: On the same images.
        alpha: Of each bound.

    Raises:
        ValueError: when the numbers of images differ, or there are none.
    """
    if task.hit_or_miss:
        return drop_of_hits(baseline.per_image, candidate.per_image, alpha=alpha)
    first, second, n = baseline.per_image, candidate.per_image, len(baseline.per_image)
    drops = _drops(task, first, second)
    same = sum(one == other for one, other in zip(first, second, strict=True))
    return MetricDrop(
        baseline=baseline.value,
        candidate=candidate.value,
        estimate=baseline.value - candidate.value,
        low=float(np.quantile(drops, alpha)),
        high=float(np.quantile(drops, 1 - alpha)),
        n=n,
        nothing_lost=same == n,
        method=f"paired bootstrap over the images, {BOOTSTRAPS} draws",
        counted=f"{n - same} of {n} images answered otherwise",
    )


def p_of_no_difference(task: Task, first: Sequence[Accuracy], second: Sequence[Accuracy]) -> float:
    """How probable a difference as large as this is between two kinds of model that are equally good; two-sided.

    Where an image is a hit or a miss, the exact test of
    :func:`~benchmarks.statistics.paired_proportions.sign_flips`, of one pair McNemar's. Else the smallest level at
    which the bootstrap's interval of the difference, in the mean of the pairs, does not hold 0, not below what so many
    draws can tell: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 15.4. It is told of these
    models on other images, not of models from other seeds: for that their spread has to be looked at.

    Args:
        task: Of all.
        first: Of one kind, each on the same images.
        second: Of the other kind, pair by pair.

    Raises:
        ValueError: when the numbers of models or images differ, or there are none.
    """
    return _p_of(task, _differences(task, first, second))


def p_of_each_and_all(task: Task, first: Sequence[Accuracy], second: Sequence[Accuracy]) -> tuple[list[float], float]:
    """:func:`p_of_no_difference` of each pair alone and of all together; what takes long, the draws, is done once.

    Args:
        task: Of all.
        first: Of one kind, each on the same images.
        second: Of the other kind, pair by pair.

    Raises:
        ValueError: when the numbers of models or images differ, or there are none.
    """
    differences = _differences(task, first, second)
    return [_p_of(task, [one]) for one in differences], _p_of(task, differences)


def _differences(task: Task, first: Sequence[Accuracy], second: Sequence[Accuracy]) -> list[list[float]]:
    """Of each pair: image by image what was won, where an image is a hit or a miss, else what was lost draw by draw."""
    pairs = [(one.per_image, other.per_image) for one, other in zip(first, second, strict=True)]
    if task.hit_or_miss:
        return [[int(b) - int(a) for a, b in zip(*pair, strict=True)] for pair in pairs]
    return [_drops(task, *pair) for pair in pairs]


def _p_of(task: Task, differences: Sequence[Sequence[float]]) -> float:
    if task.hit_or_miss:
        if len(differences) == 1:
            return mcnemar(lost=differences[0].count(-1), won=differences[0].count(1))
        return sign_flips([sum(of_image) for of_image in zip(*differences, strict=True)])
    drops = np.mean(differences, axis=0)
    one_sided = (1 + min(int((drops <= 0).sum()), int((drops >= 0).sum()))) / (1 + len(drops))
    return min(1.0, 2 * one_sided)


def interval(task: Task, accuracy: Accuracy, *, alpha: float) -> tuple[float, float]:
    """Both ends of the interval of a metric at the level ``1 - alpha``, for the images these are drawn from.

    Wilson's where an image is a hit or a miss, else quantiles of the bootstrap over the images, seeded.

    Args:
        task: Of the model.
        accuracy: On some images.
        alpha: Of both ends together.
    """
    if task.hit_or_miss:
        return proportion_interval(round(accuracy.value * accuracy.n), accuracy.n, alpha=alpha)
    low, high = np.quantile(_drawn(task, accuracy.per_image), (alpha / 2, 1 - alpha / 2))
    return float(low), float(high)


def _drops(task: Task, first: Sequence[Json], second: Sequence[Json]) -> list[float]:
    """The first's metric minus the second's, draw by draw of the images."""
    n = len(first)
    if n != len(second) or not n:
        message = "both need what every image contributed"
        raise ValueError(message)
    return [before - after for before, after in zip(_drawn(task, first), _drawn(task, second), strict=True)]


def _drawn(task: Task, per_image: Sequence[Json]) -> tuple[float, ...]:
    """The metric, draw by draw of the images: the same draws for all models, so that each model's are made once."""
    key = task.name, hashlib.sha256(json.dumps(per_image).encode()).digest()
    if key not in _KNOWN:
        metric = task.metric_of(per_image)
        _KNOWN[key] = tuple(metric(times) for times in _draws(len(per_image)))
        while len(_KNOWN) > _KEPT:
            del _KNOWN[next(iter(_KNOWN))]
    return _KNOWN[key]


def _draws(n: int) -> Iterator[list[int]]:
    """How often each of so many images counts, draw by draw."""
    draw = np.random.default_rng(0)
    for _ in range(BOOTSTRAPS):
        yield np.bincount(draw.integers(n, size=n), minlength=n).tolist()


def upper_bound(task: Task, accuracy: Accuracy, *, alpha: float) -> float:
    """Of a metric that is no share of the images: a quantile of it over the same draws."""
    return float(np.quantile(_drawn(task, accuracy.per_image), 1 - alpha))


def drop_of_hits(baseline: Sequence[float], candidate: Sequence[float], *, alpha: float) -> MetricDrop:
    """The drop of a share of images, see :func:`~benchmarks.statistics.paired_proportions.accuracy_drop`."""
    found = accuracy_drop(baseline, candidate, alpha=alpha)
    return MetricDrop(
        baseline=sum(baseline) / found.n,
        candidate=sum(candidate) / found.n,
        estimate=found.estimate,
        low=found.low,
        high=found.high,
        n=found.n,
        nothing_lost=not found.lost,
        method="paired per image, Newcombe's interval",
        counted=f"{found.lost} images lost, {found.won} won of {found.n}",
    )
