"""Changes of level in a series."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pipeline.gate.baselines.change_points import _p_value, change_points


def _series(*levels: tuple[float, int], spread: float = 0.004, seed: int = 0) -> list[float]:
    generator = np.random.default_rng(seed)
    return [float(value) for level, count in levels for value in generator.normal(level, spread * level, count)]


@pytest.mark.parametrize("seed", range(10))
def test_a_step_is_found_where_it_is(seed: int) -> None:
    assert change_points(_series((10, 12), (11, 12), seed=seed)) == [12]


def test_several_steps_are_found_in_order() -> None:
    assert change_points(_series((10, 10), (11, 10), (9, 10))) == [10, 20]


def test_a_step_of_exact_figures_is_found() -> None:
    assert change_points([5.0] * 4 + [6.0] * 4) == [4]


def test_a_step_smaller_than_asked_for_is_none() -> None:
    assert change_points(_series((10, 20), (10.1, 20), spread=0.0005)) == []


def test_series_without_a_step_hardly_ever_show_one() -> None:
    assert sum(bool(change_points(_series((10, 30), spread=0.02, seed=seed))) for seed in range(200)) <= 4


def test_the_p_value_is_welchs() -> None:
    generator = np.random.default_rng(0)
    left, right = generator.normal(1, 0.1, 7), generator.normal(1.1, 0.3, 12)

    assert _p_value(left, right) == pytest.approx(stats.ttest_ind(left, right, equal_var=False).pvalue)


@pytest.mark.parametrize("count", [0, 1, 5, 7])
def test_a_series_too_short_for_two_levels_has_none(count: int) -> None:
    assert change_points(([1.0, 9.0] * 4)[:count]) == []
