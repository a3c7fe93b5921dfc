"""Samples that stand for a split."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.dataset import rotating_samples


@given(st.integers(0, 300), st.integers(0, 100))
def test_they_are_spread_over_all_of_it_wherever_its_classes_lie(length: int, count: int) -> None:
    split: Any = list(range(length))
    found: Any = rotating_samples(split, count)
    assert len(found) == len(set(found)) == min(length, count)
    edges = [-1, *found, length]
    assert not found or max(b - a for a, b in pairwise(edges)) <= -(-length // len(found))
