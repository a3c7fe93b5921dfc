"""Paired accuracy: bounds against published figures, scipy and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.statistics.paired_proportions import (
    accuracy_drop,
    agreement_upper_bound,
    mcnemar,
    proportion_interval,
    sign_flips,
)

_TWO_SIDED_95 = 0.025


def _answers(both: int, first_only: int, second_only: int, neither: int) -> tuple[list[float], list[float]]:
    counts = ((1.0, 1.0, both), (1.0, 0.0, first_only), (0.0, 1.0, second_only), (0.0, 0.0, neither))
    pairs = [(a, b) for a, b, count in counts for _ in range(count)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def test_the_interval_is_newcombes() -> None:
    """The paper's first example: 36 of 50 right by both, 12 by the first alone, 2 by the second alone."""
    found = accuracy_drop(*_answers(36, 12, 2, 0), alpha=_TWO_SIDED_95)

    assert (found.low, found.high) == (pytest.approx(0.0569, abs=5e-5), pytest.approx(0.3404, abs=5e-5))


def test_a_drop_is_what_was_lost_less_what_was_won() -> None:
    found = accuracy_drop(*_answers(90, 5, 2, 3), alpha=0.05)

    assert (found.lost, found.won, found.n) == (5, 2, 100)
    assert found.estimate == pytest.approx(0.03)


def test_swapping_the_models_mirrors_the_interval() -> None:
    first, second = _answers(80, 9, 4, 7)
    found, mirrored = accuracy_drop(first, second, alpha=0.05), accuracy_drop(second, first, alpha=0.05)

    assert (mirrored.low, mirrored.high) == (pytest.approx(-found.high), pytest.approx(-found.low))


def test_the_upper_bound_holds_as_often_as_it_says() -> None:
    """2,000 samples of 300 images with a true drop of two points."""
    generator = np.random.default_rng(0)
    below = 0
    for _ in range(2000):
        table = generator.multinomial(300, [0.90, 0.035, 0.015, 0.05])
        below += accuracy_drop(*_answers(*table.tolist()), alpha=0.05).high < 0.02

    assert below / 2000 < 0.065


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], [1.0, 0.0]), ([0.5], [1.0])])
def test_anything_but_one_answer_an_image_is_refused(first: list[float], second: list[float]) -> None:
    with pytest.raises(ValueError, match="one value of 0 or 1 for every image"):
        accuracy_drop(first, second, alpha=0.05)


@pytest.mark.parametrize(("same", "n"), [(0, 10), (7, 10), (95, 100)])
def test_the_agreements_bound_is_the_exact_binomial_one(same: int, n: int) -> None:
    bound = agreement_upper_bound(same, n, alpha=0.05)

    assert stats.binom.cdf(same, n, bound) == pytest.approx(0.05)


def test_full_agreement_has_no_smaller_bound_than_one() -> None:
    assert agreement_upper_bound(20, 20, alpha=0.05) == 1.0


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (3, 3), (0, 5), (2, 9), (40, 60)])
def test_mcnemar_is_the_chance_of_so_uneven_a_split_of_fair_coins(lost: int, won: int) -> None:
    n = lost + won
    chances = [math.comb(n, k) / 2**n for k in range(n + 1)]
    wanted = sum(chance for chance in chances if chance <= chances[won] * (1 + 1e-9))
    assert mcnemar(lost, won) == pytest.approx(wanted)
    assert mcnemar(won, lost) == pytest.approx(wanted)


@pytest.mark.parametrize("differences", [[3, -1, 2, 0, 1], [1, 1, 1], [2, -2], [-3, -3, -2, -1, 1, 0, 0], [0, 0], []])
def test_flips_of_signs_are_counted_over_all_of_them(differences: list[int]) -> None:
    every = itertools.product((1, -1), repeat=len(differences))
    sums = [abs(sum(sign * one for sign, one in zip(signs, differences, strict=True))) for signs in every]
    wanted = sum(one >= abs(sum(differences)) for one in sums) / len(sums)
    assert sign_flips(differences) == pytest.approx(wanted)


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (3, 3), (0, 5), (2, 9), (40, 60)])
def test_flips_of_one_pair_are_mcnemars_test(lost: int, won: int) -> None:
    assert sign_flips([-1] * lost + [1] * won + [0] * 7) == pytest.approx(mcnemar(lost, won))


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (10, 10), (81, 263)])
def test_a_shares_interval_is_wilsons(hits: int, n: int) -> None:
    wanted = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert proportion_interval(hits, n, alpha=0.05) == pytest.approx((wanted.low, wanted.high))
