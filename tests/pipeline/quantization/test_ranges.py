"""Ranges from histograms: each method against a plainer way to the same end, and what holds for all of them."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.quantization.ranges import METHODS, Histogram, Method, Range

_FLOATS = st.floats(-1e6, 1e6)
_METHODS = sorted(METHODS)


def _seen(values: np.ndarray, bins: int = 2048) -> Histogram:
    counts, edges = np.histogram(values, bins=bins)
    return Histogram(counts, float(edges[0]), float(edges[-1]))


def _edges(seen: Histogram) -> np.ndarray:
    return np.linspace(seen.low, seen.high, len(seen.counts) + 1)


@st.composite
def _histograms(draw: st.DrawFn, bins: int = 512) -> Histogram:
    """Any: one-sided, two-sided, far from zero, with gaps and outliers."""
    low = draw(st.floats(-100, 100))
    width = draw(st.floats(1e-3, 100))
    counts = np.zeros(bins, np.int64)
    seed = draw(st.integers(0, 2**16))
    generator = np.random.default_rng(seed)
    centre, spread = draw(st.floats(0, 1)), draw(st.floats(0.001, 0.5))
    places = np.clip(generator.normal(centre, spread, 500), 0, 0.9999)
    np.add.at(counts, (places * bins).astype(int), 1)
    counts[[0, -1]] += 1  # the smallest and the largest value that were seen
    return Histogram(counts, low, low + width)


def test_there_is_a_method_for_every_name_a_recipe_may_give() -> None:
    assert set(METHODS) == set(get_args(Method))


@settings(deadline=None)
@given(_FLOATS, _FLOATS)
def test_a_range_holds_zero_and_is_never_empty(first: float, second: float) -> None:
    found = Range.of(first, second)
    assert found.low <= 0 <= found.high
    assert found.low < found.high


@settings(deadline=None)
@given(_FLOATS, _FLOATS)
def test_a_range_is_the_smallest_that_holds_what_was_given(first: float, second: float) -> None:
    low, high = sorted((first, second))
    found = Range.of(low, high)
    assert found.low == min(low, 0)
    assert found.high == max(high, 0) or found.high - found.low <= 2e-6  # widened where it would be empty


@pytest.mark.parametrize("method", _METHODS)
@settings(max_examples=15, deadline=None)
@given(seen=_histograms())
def test_every_range_holds_zero_and_lies_within_what_was_seen(method: Method, seen: Histogram) -> None:
    found = METHODS[method](seen)
    assert min(seen.low, 0) - 1e-6 <= found.low <= 0 <= found.high <= max(seen.high, 0) + 1e-6
    assert found.low < found.high


@pytest.mark.parametrize("method", _METHODS)
@settings(max_examples=10, deadline=None)
@given(seen=_histograms(), power=st.integers(-8, 8))
def test_a_tensor_in_other_units_has_its_range_in_those_units(method: Method, seen: Histogram, power: int) -> None:
    factor = 2.0**power
    scaled = METHODS[method](Histogram(seen.counts, seen.low * factor, seen.high * factor))
    found = METHODS[method](seen)
    assert scaled.low == pytest.approx(found.low * factor, rel=1e-6, abs=1e-9)
    assert scaled.high == pytest.approx(found.high * factor, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("method", _METHODS)
@pytest.mark.parametrize("value", [0.0, 3.5, -2.0])
def test_a_tensor_that_never_changes_still_has_a_range(method: Method, value: float) -> None:
    counts = np.zeros(2048, np.int64)
    counts[0] = 99
    found = METHODS[method](Histogram(counts, value, value))
    assert found == Range.of(value, value)


@settings(deadline=None)
@given(st.lists(st.floats(-50, 50, width=32), min_size=2, max_size=40))
def test_minmax_is_everything_that_was_seen(values: list[float]) -> None:
    found = METHODS["minmax"](Histogram(np.ones(8, np.int64), min(values), max(values)))
    assert found == Range.of(min(values), max(values))


@settings(max_examples=40, deadline=None)
@given(seen=_histograms(), outliers=st.integers(0, 400))
def test_percentile_cuts_off_at_most_half_a_hundredth_of_a_percent_on_each_side(seen: Histogram, outliers: int) -> None:
    # Many values in the middle, so that the outer ones are a small part.
    counts = seen.counts.copy()
    counts[len(counts) // 2] += 2_000_000
    counts[-1] += outliers
    seen = Histogram(counts, seen.low, seen.high)
    tail, total, edges = 0.00005, counts.sum(), _edges(seen)
    # By hand: take bins off an end as long as what was taken off stays within the tail.
    first = last = 0
    while counts[: first + 1].sum() < tail * total:
        first += 1
    while counts[len(counts) - last - 1 :].sum() <= tail * total:
        last += 1
    found = METHODS["percentile"](seen)
    wanted = Range.of(edges[first], edges[len(counts) - last])
    step = edges[1] - edges[0]
    assert found.low == pytest.approx(wanted.low, abs=1e-3 * step)
    assert found.high == pytest.approx(wanted.high, abs=1e-3 * step)


def test_percentile_passes_over_a_rare_outlier() -> None:
    values = np.append(np.random.default_rng(0).uniform(-1, 1, 200_000), [50.0])
    found = METHODS["percentile"](_seen(values))
    assert found.high < 1.1
    assert found.low == pytest.approx(-1, abs=0.05)


def _square_error(seen: Histogram, low: float, high: float) -> float:
    """Of rounding every bin's middle to the nearest of 256 values from low to high."""
    centres = (_edges(seen)[:-1] + _edges(seen)[1:]) / 2
    levels = np.linspace(low, high, 256)
    # Between two neighbours, or at an end: the distance to the nearest level.
    right = np.clip(np.searchsorted(levels, centres), 1, 255)
    nearest = np.minimum(np.abs(centres - levels[right]), np.abs(centres - levels[right - 1]))
    return float(np.sum(seen.counts * nearest**2))


_SHARES = np.linspace(0.05, 1.0, 96)


@settings(max_examples=10, deadline=None)
@given(scale=st.floats(0.05, 20), tail=st.floats(1, 6), seed=st.integers(0, 99))
def test_mse_of_one_sided_values_is_the_best_of_all_ends(scale: float, tail: float, seed: int) -> None:
    # What leaves a ReLU: nothing below zero, few large values.
    values = np.random.default_rng(seed).exponential(scale, 3000) ** (tail / 2)
    seen = _seen(np.append(values, 0.0))
    errors = [_square_error(seen, 0.0, seen.high * share) for share in _SHARES]
    found = METHODS["mse"](seen)
    assert found.low == 0
    assert _square_error(seen, found.low, found.high) <= min(errors) * (1 + 1e-6)


@settings(max_examples=5, deadline=None)
@given(skew=st.floats(-1, 1), seed=st.integers(0, 99))
def test_mse_of_two_sided_values_is_near_the_best_of_all_pairs_of_ends(skew: float, seed: int) -> None:
    values = np.random.default_rng(seed).standard_t(3, 3000) + skew
    seen = _seen(values)
    shares = _SHARES[::4]
    best = min(_square_error(seen, seen.low * a, seen.high * b) for a in shares for b in shares)
    found = METHODS["mse"](seen)
    assert _square_error(seen, found.low, found.high) <= 1.1 * best


@settings(max_examples=20, deadline=None)
@given(seen=_histograms())
def test_mse_never_errs_more_than_minmax(seen: Histogram) -> None:
    widest, found = (METHODS[name](seen) for name in ("minmax", "mse"))
    assert _square_error(seen, found.low, found.high) <= _square_error(seen, widest.low, widest.high) * (1 + 1e-6)


def test_mse_weighs_the_clipping_of_an_outlier_against_the_rounding_of_all_others() -> None:
    # Values spread over [0, 1] and one at 4: an end c costs (4 - c)^2 by clipping and count * (c / 255)^2 / 12 by
    # rounding, which is least at 4 / (1 + count / (12 * 255^2)).
    count = 500_000
    values = np.append(np.random.default_rng(0).uniform(0, 1, count), [4.0])
    assert METHODS["mse"](_seen(values)).high == pytest.approx(4 / (1 + count / (12 * 255**2)), abs=0.06)


def _divergence(seen: Histogram, low: float, high: float) -> float:
    """Migacz's measure, bin by bin.

    Reference: what lies within the range, what lies beyond it put into its outermost bins. Quantised: the 256 levels'
    counts spread evenly over those of their bins that hold anything. Zeros are no part of it: they are exact.
    """
    centres = (_edges(seen)[:-1] + _edges(seen)[1:]) / 2
    counts = np.array(seen.counts)
    counts[int(np.argmin(np.abs(centres)))] = 0
    seen = Histogram(counts, seen.low, seen.high)
    held = [number for number, centre in enumerate(centres) if low <= centre <= high]
    if len(held) < 256:
        return float("inf")
    reference = {number: float(seen.counts[number]) for number in held}
    reference[held[0]] += float(seen.counts[: held[0]].sum())
    reference[held[-1]] += float(seen.counts[held[-1] + 1 :].sum())
    levels: dict[int, list[int]] = {}
    for number in held:
        levels.setdefault(min(int((centres[number] - low) / (high - low) * 256), 255), []).append(number)
    quantised = dict.fromkeys(held, 0.0)
    for members in levels.values():
        present = [number for number in members if seen.counts[number] > 0]
        for number in present:
            quantised[number] = float(seen.counts[present].sum()) / len(present)
    total, spread = sum(reference.values()), sum(quantised.values())
    return sum(
        (value / total) * np.log((value / total) / max(quantised[number] / max(spread, 1e-12), 1e-9))
        for number, value in reference.items()
        if value > 0
    )


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 99), lowest=st.sampled_from([0.0, -1.0, -4.0]))
def test_entropy_is_the_least_divergence_over_all_scales(seed: int, lowest: float) -> None:
    values = np.random.default_rng(seed).standard_t(2.5, 20_000)
    seen = _seen(np.append(values[values >= lowest], lowest), bins=1024)
    candidates = [
        (_divergence(seen, min(0.0, seen.low * share), max(0.0, seen.high * share)), share)
        for share in np.linspace(0.1, 1.0, 96)
    ]
    found = METHODS["entropy"](seen)
    least = min(candidates)[0]
    assert _divergence(seen, found.low, found.high) <= least + 1e-6


def test_the_middles_of_the_bins_lie_between_smallest_and_largest() -> None:
    np.testing.assert_allclose(Histogram(np.ones(4, np.int64), -1.0, 1.0).centres, [-0.75, -0.25, 0.25, 0.75])
