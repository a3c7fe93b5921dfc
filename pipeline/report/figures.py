"""How figures are written for people; a figure that was not measured is a dash."""

from __future__ import annotations

import math

__all__ = [
    "amount",
    "count",
    "fine_percent",
    "megabytes",
    "milliseconds",
    "percent",
    "percent_interval",
    "points",
    "points_lost",
    "seconds",
    "signed_points",
    "size_change",
    "speed",
    "speed_brief",
    "speed_interval",
]

_NONE = "-"
_SEEN = 0.005
"""Points: what two decimals show."""
_ROUNDING = 1e-7
"""Points: what is smaller is a rounding error of binary fractions."""
_AS_FAST = 0.05
"""Within so much of the baseline's time, both ends of the interval, is as fast: a wider one leaves it open."""


def milliseconds(value_s: float | None) -> str:
    """Seconds as milliseconds with three significant digits: ``1.23 ms``."""
    return _NONE if value_s is None else f"{_three(1e3 * value_s)} ms"


def megabytes(value_bytes: int | None) -> str:
    """Bytes as megabytes (10^6) with three significant digits."""
    return _NONE if value_bytes is None else f"{_three(value_bytes / 1e6)} MB"


def percent(fraction: float | None) -> str:
    """A fraction of 1 as percent with two decimals."""
    return _NONE if fraction is None else f"{100 * fraction:.2f} %"


def percent_interval(ends: tuple[float, float] | None) -> str:
    """Both ends of an interval as percent with two decimals: ``97.10 to 99.20 %``."""
    return _NONE if ends is None else f"{100 * ends[0]:.2f} to {100 * ends[1]:.2f} %"


def fine_percent(fraction: float | None) -> str:
    """A fraction of 1 as percent with two significant digits where two decimals would hide it: ``0.0031 %``."""
    if fraction is None or abs(fraction) >= 0.001 or fraction == 0:
        return percent(fraction)
    return f"{100 * fraction:.{_decimals(100 * fraction)}f} %"


def signed_points(fraction: float) -> str:
    """A difference of accuracies as percentage points with its sign: ``+0.22``; one that two decimals hide has more."""
    value = 100 * fraction
    if _ROUNDING < abs(value) < _SEEN:
        return f"{value:+.{_decimals(value)}f}"
    return f"{round(value, 2) + 0.0:+.2f}"  # no -0.00


def points(fraction: float) -> str:
    """A difference of accuracies in points, without sign: ``1 point``, ``0.22 points``, ``0.0030 points``."""
    value = 100 * abs(fraction)
    text = f"{value:.{_decimals(value) if _ROUNDING < value < _SEEN else 2}f}"
    text = text.rstrip("0").rstrip(".") if text.endswith("00") else text
    return f"{text} {'point' if text == '1' else 'points'}"


def points_lost(lost: float) -> str:
    """What became of accuracy: ``0.22 points lost``, ``1 point gained``, ``no accuracy lost``."""
    return f"{points(lost)} {'lost' if lost > 0 else 'gained'}" if lost else "no accuracy lost"


def speed(ratio: float) -> str:
    """How many times as fast, in the word that fits: ``2.10x faster``, ``1.30x slower``."""
    return f"{ratio:.2f}x faster" if ratio >= 1 else f"{1 / ratio:.2f}x slower"


def speed_interval(ratio: float, low: float | None, high: float | None) -> str:
    """The same of medians taken side by side, with their interval: ``2.10x faster at p50 (2.04 to 2.17 side by side)``.

    An interval that contains 1 says ``as fast`` where it is narrow, and that no difference is shown where it is not.
    Both ends exactly 1 are the baseline's own engine, which nobody timed against itself.
    """
    if _is_the_same(low, high):
        return "the same engine as the baseline"
    if low is None or high is None:
        return f"{speed(ratio)} at p50 (side by side, too few processes for an interval)"
    return f"{_compared(ratio, low, high)} at p50 ({_ends(low, high)} side by side)"


def speed_brief(ratio: float, low: float | None, high: float | None) -> str:
    """The same for a cell of a table: ``2.10x faster (2.04 to 2.17)``."""
    if _is_the_same(low, high):
        return "the same engine"
    if low is None or high is None:
        return f"{speed(ratio)} (no interval)"
    return f"{_compared(ratio, low, high)} ({_ends(low, high)})"


def _is_the_same(low: float | None, high: float | None) -> bool:
    return low == high == 1


def _compared(ratio: float, low: float, high: float) -> str:
    if not low <= 1 <= high:
        return speed(ratio)
    return "as fast" if low >= 1 - _AS_FAST and high <= 1 / (1 - _AS_FAST) else "no difference in speed shown"


def _ends(low: float, high: float) -> str:
    if low <= 1 <= high:
        return f"{low:.2f}x to {high:.2f}x"
    return f"{low:.2f} to {high:.2f}" if low > 1 else f"{1 / high:.2f} to {1 / low:.2f}"


def size_change(shrink: float) -> str:
    """How many times as small, in the word that fits: ``8.0x smaller``, ``1.3x larger``, ``about as large``.

    Args:
        shrink: Bytes before over bytes now.
    """
    factor = f"{max(shrink, 1 / shrink):.1f}"
    if factor == "1.0":
        return "as large" if shrink == 1 else "about as large"
    return f"{factor}x {'smaller' if shrink > 1 else 'larger'}"


def count(value: int | None) -> str:
    """A large number with its magnitude: ``25.6 M``."""
    if value is None:
        return _NONE
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size and value >= 1000:
            return f"{_three(value / size)} {letter}"
    return str(value)


def seconds(value_s: float | None) -> str:
    """A duration: ``0.4 s``, ``12 s``, ``3 min 20 s``."""
    if value_s is None:
        return _NONE
    if value_s < 9.95:
        return f"{value_s:.1f} s"
    minutes, rest = divmod(round(value_s), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def amount(quantity: str, value: float, *, relative: bool) -> str:
    """So much of what a goal is about: ``1.23 ms``, ``2.5 M``, or ``0.48x``, a fraction of the unpruned network's."""
    if relative:
        return f"{value:.2f}x"
    match quantity:
        case "latency":
            return f"{_three(1e6 * value)} us" if value < 1e-5 else milliseconds(value)
        case "size" | "memory":
            return megabytes(round(value))
        case _:
            return count(round(value))


def _decimals(value: float) -> int:
    """How many decimals show two significant digits of a value below 1."""
    return min(9, 1 - math.floor(math.log10(abs(value))))


def _three(value: float) -> str:
    """Three significant digits, written without an exponent; of 1000 and more all digits before the point."""
    if value == 0 or abs(value) >= 999.5:
        return f"{value:.0f}"
    exponent = int(f"{value:.2e}".partition("e")[2])  # after rounding: 9.996 has the exponent of 10.0
    return f"{value:.{max(0, 2 - exponent)}f}"
