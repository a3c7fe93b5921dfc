"""Percentiles and the samples they need."""

from __future__ import annotations

import pytest
from scipy import stats

from benchmarks.statistics.percentiles import NEEDED, percentiles


@pytest.mark.parametrize(("name", "share"), [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)])
def test_the_needed_samples_are_the_fewest_that_bound_it(name: str, share: float) -> None:
    """One sample may lie beyond; fewer samples would let that happen by chance more than once in a hundred."""
    n = NEEDED[name]

    assert stats.binom.cdf(1, n, 1 - share) <= 0.01
    assert stats.binom.cdf(1, n - 1, 1 - share) > 0.01


def test_a_percentile_without_enough_samples_is_withheld_with_its_reason() -> None:
    values, reasons = percentiles([0.001] * 100)

    assert values["p90"] == 0.001
    assert (values["p95"], values["p99"]) == (None, None)
    assert reasons == [
        "p95 withheld: 100 samples, 130 are needed",
        "p99 withheld: 100 samples, 662 are needed",
    ]


def test_a_percentile_is_a_sample_and_not_a_mean_of_two() -> None:
    values, _ = percentiles([float(number) for number in range(1000)])

    assert (values["p50"], values["p90"], values["p99"]) == (500.0, 900.0, 990.0)
