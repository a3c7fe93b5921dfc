"""Exact signed-rank inference, against enumeration and against scipy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks.statistics.signed_rank import p_greater, shift, walsh_averages

_DIFFERENCES = st.lists(st.floats(-1, 1).map(lambda value: round(value, 6)), min_size=1, max_size=10)


def _enumerated_p(differences: list[float]) -> float:
    """``P(T >= t)`` over all signs of the ranks, by counting every one of them."""
    ranks = range(1, len(differences) + 1)
    order = np.argsort(np.abs(differences))
    observed = sum(rank for rank, place in zip(ranks, order, strict=True) if differences[place] > 0)
    sums = [
        sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign)
        for signs in itertools.product((0, 1), repeat=len(differences))
    ]
    return sum(total >= observed for total in sums) / len(sums)


@pytest.mark.parametrize("n", range(1, 11))
def test_the_p_value_is_the_share_of_all_signs_that_give_as_much(n: int) -> None:
    differences = list(np.random.default_rng(n).normal(0.3, 1, n))

    assert p_greater(differences, 0.0) == pytest.approx(_enumerated_p(differences), abs=1e-12)


@pytest.mark.parametrize("n", [5, 9, 15, 25])
def test_the_p_value_is_scipys_exact_one(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.2, 1, n)

    expected = stats.wilcoxon(differences - 0.1, alternative="greater", mode="exact").pvalue

    assert p_greater(list(differences), 0.1) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("n", "alpha", "rank"), [(6, 0.0469, 3), (10, 0.0420, 11), (20, 0.0487, 61), (20, 0.0097, 44)])
def test_the_lower_bound_is_the_tabulated_walsh_average(n: int, alpha: float, rank: int) -> None:
    differences = list(np.random.default_rng(0).normal(0, 1, n))

    found = shift(differences, alpha=alpha)

    assert found.low == walsh_averages(differences)[rank - 1]
    assert found.high == walsh_averages(differences)[-rank]
    assert found.alpha == pytest.approx(alpha, abs=1e-4)


def test_the_estimate_is_the_median_of_all_pairs_means() -> None:
    differences = [1.0, 2.0, 10.0]
    pairs = [1.0, 1.5, 5.5, 2.0, 6.0, 10.0]

    assert shift(differences, alpha=0.2).estimate == pytest.approx(np.median(pairs))


def test_too_few_differences_give_no_bound() -> None:
    found = shift([0.1, 0.2], alpha=0.05)

    assert (found.low, found.high) == (-math.inf, math.inf)


@settings(deadline=None)
@given(_DIFFERENCES, st.floats(-1, 1))
def test_a_bound_and_its_p_value_say_the_same(differences: list[float], threshold: float) -> None:
    alpha = 0.05
    averages = walsh_averages(differences)
    if np.isclose(averages, threshold, atol=1e-9).any():
        return  # ties are broken against the claim

    assert (shift(differences, alpha=alpha).low > threshold) == (p_greater(differences, threshold) <= alpha)


@settings(deadline=None)
@given(_DIFFERENCES)
def test_swapping_the_two_sides_mirrors_everything(differences: list[float]) -> None:
    found, mirrored = (shift([sign * value for value in differences], alpha=0.1) for sign in (1, -1))

    assert mirrored.estimate == pytest.approx(-found.estimate)
    assert (mirrored.low, mirrored.high) == (pytest.approx(-found.high), pytest.approx(-found.low))


@settings(deadline=None)
@given(_DIFFERENCES, st.floats(-2, 2))
def test_moving_every_difference_moves_estimate_and_bounds(differences: list[float], by: float) -> None:
    found, moved = shift(differences, alpha=0.1), shift([value + by for value in differences], alpha=0.1)

    assert moved.estimate == pytest.approx(found.estimate + by, abs=1e-9)
    assert moved.low == pytest.approx(found.low + by, abs=1e-9)


def test_the_bound_holds_as_often_as_it_says() -> None:
    """Coverage over 4,000 samples of a symmetric distribution: at least the level, and near it."""
    generator = np.random.default_rng(1)
    missed = sum(shift(list(generator.standard_t(3, 10)), alpha=0.05).low > 0 for _ in range(4000))

    assert 0.033 < missed / 4000 < 0.052


@pytest.mark.parametrize("differences", [[], [float("nan")], [1.0, float("inf")]])
def test_what_is_no_number_is_refused(differences: list[float]) -> None:
    with pytest.raises(ValueError, match="finite numbers, at least one"):
        shift(differences, alpha=0.05)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1])
def test_an_impossible_level_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha has to lie between 0 and 1"):
        shift([1.0], alpha=alpha)
