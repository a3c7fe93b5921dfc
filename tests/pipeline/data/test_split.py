"""Laws of the stratified draw."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.dataset import Sample
from pipeline.data.split import stratified


def _samples(sizes: list[int]) -> list[Sample]:
    return [
        Sample(path=Path(f"{label}-{number}"), name=f"{label}-{number}", label=label, sha256=f"{label}/{number}")
        for label, size in enumerate(sizes)
        for number in range(size)
    ]


@given(st.lists(st.integers(0, 12), min_size=1, max_size=6), st.integers(0, 80), st.integers(0, 3))
def test_chosen_and_rest_are_a_partition_of_the_asked_size(sizes: list[int], count: int, seed: int) -> None:
    samples = _samples(sizes)
    chosen, rest = stratified(samples, count, seed=seed)
    assert len(chosen) == min(count, len(samples))
    assert Counter(sample.name for sample in (*chosen, *rest)) == Counter(sample.name for sample in samples)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.integers(0, 40))
def test_every_class_gets_its_share_rounded_up_or_down(sizes: list[int], count: int) -> None:
    samples = _samples(sizes)
    chosen, _ = stratified(samples, count, seed=0)
    counts = Counter(sample.label for sample in chosen)
    for label, size in enumerate(sizes):
        assert abs(counts[label] - len(chosen) * size / len(samples)) < 1


@given(st.lists(st.integers(1, 8), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_the_samples_does_not_decide_who_is_chosen(sizes: list[int], random: Random) -> None:
    samples = _samples(sizes)
    shuffled = random.sample(samples, len(samples))
    assert stratified(samples, 5, seed=1)[0] == stratified(shuffled, 5, seed=1)[0]


def test_any_first_part_of_the_chosen_mixes_the_classes() -> None:
    chosen, _ = stratified(_samples([200] * 4), 400, seed=0)
    counts = Counter(sample.label for sample in chosen[:100])
    assert min(counts[label] for label in range(4)) >= 12
