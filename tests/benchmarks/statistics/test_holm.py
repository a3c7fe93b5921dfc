"""Holm's correction."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.statistics.holm import rejected

_P_VALUES = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 1), min_size=1)


def test_each_p_value_is_held_against_its_share_of_alpha() -> None:
    assert rejected({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}, alpha=0.05) == {"a", "d"}


def test_one_that_stands_saves_all_larger_ones() -> None:
    assert rejected({"a": 0.03, "b": 0.031}, alpha=0.05) == frozenset()


@given(_P_VALUES, st.floats(0.001, 0.5))
def test_it_rejects_at_least_what_bonferroni_does_and_at_most_what_no_correction_does(
    p_values: dict[str, float], alpha: float
) -> None:
    found = rejected(p_values, alpha=alpha)

    assert {name for name, p in p_values.items() if p <= alpha / len(p_values)} <= found
    assert found <= {name for name, p in p_values.items() if p <= alpha}


def test_false_alarms_of_a_family_stay_below_alpha() -> None:
    generator = np.random.default_rng(0)
    alarms = sum(bool(rejected(dict(enumerate(generator.uniform(size=5))), alpha=0.05)) for _ in range(4000))

    assert alarms / 4000 < 0.058
