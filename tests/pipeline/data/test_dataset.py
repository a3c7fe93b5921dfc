"""Which few images stand for many."""

from __future__ import annotations

from pathlib import Path

from pipeline.data.boxes import Box, Objects
from pipeline.data.dataset import Sample, judged_samples, rotating_samples


def _sample(number: int, *boxes: Box) -> Sample:
    objects = Objects(size=(9, 9), boxes=boxes)
    return Sample(path=Path("x"), name=str(number), label=objects, sha256="")


def test_those_that_judge_show_something_that_has_to_be_found() -> None:
    there, crowd = Box(0, 1, 1, 5, 5), Box(0, 1, 1, 5, 5, crowd=True)
    samples = [_sample(number, crowd if number % 2 == 0 else there) for number in range(8)]
    assert not any(sample.counts for sample in rotating_samples(samples, 4))
    assert judged_samples(samples, 4) == tuple(samples[1::2])
    assert judged_samples(samples[::2], 2) == rotating_samples(samples[::2], 2)
    assert judged_samples(samples, 8) == tuple(samples)
