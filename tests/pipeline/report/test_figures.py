"""How figures are written for people."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.report.figures import (
    count,
    fine_percent,
    megabytes,
    milliseconds,
    percent,
    points,
    seconds,
    signed_points,
    size_change,
    speed,
    speed_brief,
    speed_interval,
)

_UNITS = {"G": 1e9, "M": 1e6, "k": 1e3, "": 1.0}


@pytest.mark.parametrize("written", [milliseconds, megabytes, percent, count, seconds])
def test_what_was_not_measured_is_a_dash(written: Callable[[None], str]) -> None:
    assert written(None) == "-"


@pytest.mark.parametrize(
    ("value_s", "text"), [(0.00123, "1.23 ms"), (0.0123, "12.3 ms"), (0.123, "123 ms"), (1.234, "1234 ms")]
)
def test_seconds_become_milliseconds_with_three_digits(value_s: float, text: str) -> None:
    assert milliseconds(value_s) == text


@pytest.mark.parametrize(
    ("value_bytes", "text"), [(2_340_000, "2.34 MB"), (44_800_000, "44.8 MB"), (553_000_000, "553 MB")]
)
def test_bytes_become_megabytes_with_three_digits(value_bytes: int, text: str) -> None:
    assert megabytes(value_bytes) == text


@given(st.floats(1e-6, 100))
@example(41.2e-6)
def test_milliseconds_are_within_half_a_percent_of_the_value(value_s: float) -> None:
    # Three digits say that much. Small networks take some ten microseconds: they are what this project ships.
    assert float(milliseconds(value_s).removesuffix(" ms")) == pytest.approx(1e3 * value_s, rel=0.0051)


@given(st.integers(1000, 10**12))
@example(8094)
def test_megabytes_are_within_half_a_percent_of_the_value(value_bytes: int) -> None:
    assert float(megabytes(value_bytes).removesuffix(" MB")) == pytest.approx(value_bytes / 1e6, rel=0.0051)


@given(st.floats(1e-6, 0.9994))
@example(0.009996)
@example(0.09996)
def test_no_more_than_three_digits_are_written_of_what_is_below_a_second(value_s: float) -> None:
    digits = milliseconds(value_s).removesuffix(" ms").replace(".", "").lstrip("0")
    assert len(digits) <= 3


@given(st.floats(1e-6, 10), st.floats(1, 3))
def test_what_is_longer_is_never_written_as_less(value_s: float, times: float) -> None:
    short, long = (float(milliseconds(value).removesuffix(" ms")) for value in (value_s, value_s * times))
    assert short <= long


@pytest.mark.parametrize(
    ("fraction", "text"), [(0, "0.00 %"), (1, "100.00 %"), (0.97222, "97.22 %"), (1 / 3, "33.33 %")]
)
def test_a_fraction_of_one_becomes_percent_with_two_decimals(fraction: float, text: str) -> None:
    assert percent(fraction) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00 k"), (25_600_000, "25.6 M"), (1_810_000_000, "1.81 G")],
)
def test_a_count_has_its_magnitude(value: int, text: str) -> None:
    assert count(value) == text


@given(st.integers(0, 10**12 - 1))
def test_a_count_is_within_half_a_percent_of_the_value(value: int) -> None:
    number, _, letter = count(value).partition(" ")
    assert float(number) * _UNITS[letter] == pytest.approx(value, rel=0.0051)


@pytest.mark.parametrize("value", [999_600, 999_999, 999_950_000])
def test_a_count_just_below_a_magnitude_is_not_a_thousand_of_the_smaller_one(value: int) -> None:
    assert count(value).startswith("1.00 ")


@pytest.mark.parametrize(
    ("value_s", "text"),
    [
        (0.0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (12.4, "12 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3599.7, "60 min 0 s"),
    ],
)
def test_a_duration_is_written_in_seconds_and_minutes(value_s: float, text: str) -> None:
    assert seconds(value_s) == text


def test_a_duration_that_rounds_to_ten_seconds_is_written_like_ten_seconds() -> None:
    assert seconds(9.96) == seconds(10.0) == "10 s"


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.01, "1 point"),
        (0.02, "2 points"),
        (-0.0022, "0.22 points"),
        (0.011, "1.10 points"),
        (0.00003, "0.0030 points"),
        (-0.000049, "0.0049 points"),
        (0.00005, "0.01 points"),
        (0.0, "0 points"),
        (1e-17, "0 points"),
    ],
)
def test_a_difference_of_accuracies_is_told_in_points(fraction: float, text: str) -> None:
    assert points(fraction) == text


@pytest.mark.parametrize(("ratio", "text"), [(2.1, "2.10x faster"), (1.0, "1.00x faster"), (0.77, "1.30x slower")])
def test_what_takes_longer_is_told_as_slower(ratio: float, text: str) -> None:
    assert speed(ratio) == text


@pytest.mark.parametrize(
    ("figures_of_it", "text"),
    [
        ((2.1, 2.04, 2.17), "2.10x faster at p50 (2.04 to 2.17 side by side)"),
        ((0.8, 0.75, 0.85), "1.25x slower at p50 (1.18 to 1.33 side by side)"),
        ((1.01, 0.98, 1.03), "as fast at p50 (0.98x to 1.03x side by side)"),
        ((1.01, 0.8, 1.3), "no difference in speed shown at p50 (0.80x to 1.30x side by side)"),
        ((1.04, 1.0, 1.08), "no difference in speed shown at p50 (1.00x to 1.08x side by side)"),
        ((1.0, 1.0, 1.0), "the same engine as the baseline"),
        ((3.0, None, None), "3.00x faster at p50 (side by side, too few processes for an interval)"),
    ],
)
def test_a_speed_is_told_with_its_interval(figures_of_it: tuple[float, float | None, float | None], text: str) -> None:
    assert speed_interval(*figures_of_it) == text


@pytest.mark.parametrize(
    ("figures_of_it", "text"),
    [
        ((2.1, 2.04, 2.17), "2.10x faster (2.04 to 2.17)"),
        ((0.8, 0.75, 0.85), "1.25x slower (1.18 to 1.33)"),
        ((1.02, 0.98, 1.05), "as fast (0.98x to 1.05x)"),
        ((1.02, 0.8, 1.3), "no difference in speed shown (0.80x to 1.30x)"),
        ((1.0, 1.0, 1.0), "the same engine"),
        ((3.0, None, None), "3.00x faster (no interval)"),
    ],
)
def test_a_cell_says_the_same_in_fewer_words(
    figures_of_it: tuple[float, float | None, float | None], text: str
) -> None:
    assert speed_brief(*figures_of_it) == text


@pytest.mark.parametrize(
    ("shrink", "text"),
    [
        (8.0, "8.0x smaller"), (0.9, "1.1x larger"), (0.25, "4.0x larger"), (4.46 / 4.49, "about as large"),
        (1.03, "about as large"), (1.0, "as large"), (1.06, "1.1x smaller"),
    ],
)  # fmt: skip
def test_what_is_not_smaller_is_not_called_so(shrink: float, text: str) -> None:
    assert size_change(shrink) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.0022, "+0.22"), (-0.00003, "-0.0030"), (0.00003, "+0.0030"), (-1e-17, "+0.00"), (0.0, "+0.00")],
)
def test_a_signed_difference_that_is_there_is_not_told_as_none(fraction: float, text: str) -> None:
    assert signed_points(fraction) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (None, "-"), (0.0, "0.00 %"), (0.5, "50.00 %"), (0.001, "0.10 %"), (0.00099, "0.099 %"), (0.000031, "0.0031 %"),
        (1.234e-7, "0.000012 %"), (1e-30, "0.000000000 %"),
    ],
)  # fmt: skip
def test_a_small_fraction_keeps_two_digits(fraction: float | None, text: str) -> None:
    assert fine_percent(fraction) == text
