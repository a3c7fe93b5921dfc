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
    "points",
    "seconds",
    "signed_points",
    "speed",
    "speed_interval",
]

_NONE = "-"


def milliseconds(value_s: float | None) -> str:
    """Seconds as milliseconds with three significant digits: ``1.23 ms``."""
    return _NONE if value_s is None else f"{_three(1e3 * value_s)} ms"


def megabytes(value_bytes: int | None) -> str:
    """Bytes as megabytes (10^6) with three significant digits."""
    return _NONE if value_bytes is None else f"{_three(value_bytes / 1e6)} MB"


def percent(fraction: float | None) -> str:
    """A fraction of 1 as percent with two decimals."""
    return _NONE if fraction is None else f"{100 * fraction:.2f} %"


def fine_percent(fraction: float | None) -> str:
    """A fraction of 1 as percent with two significant digits where two decimals would hide it: ``0.0031 %``."""
    if fraction is None or abs(fraction) >= 0.001 or fraction == 0:
        return percent(fraction)
    return f"{100 * fraction:.{min(9, 1 - math.floor(math.log10(100 * abs(fraction))))}f} %"


def signed_points(fraction: float) -> str:
    """A difference of accuracies as percentage points with its sign: ``+0.22``."""
    return f"{round(100 * fraction, 2) + 0.0:+.2f}"  # no -0.00


def points(fraction: float) -> str:
    """A difference of accuracies as percentage points, without sign: ``1 point``, ``0.22 points``."""
    text = f"{100 * abs(fraction):.2f}"
    text = text.rstrip("0").rstrip(".") if text.endswith("00") else text
    return f"{text} {'point' if text == '1' else 'points'}"


def speed(ratio: float) -> str:
    """How many times as fast, in the word that fits: ``2.10x faster``, ``1.30x slower``."""
    return f"{ratio:.2f}x faster" if ratio >= 1 else f"{1 / ratio:.2f}x slower"


def speed_interval(ratio: float, low: float | None, high: float | None) -> str:
    """The same of medians taken side by side: ``2.10x faster at p50 (2.04 to 2.17 side by side)``."""
    if low is None or high is None:
        return f"{speed(ratio)} at p50 (side by side, too few processes for an interval)"
    if low <= 1 <= high:
        return f"as fast at p50 ({low:.2f}x to {high:.2f}x side by side)"
    ends = (low, high) if ratio >= 1 else (1 / high, 1 / low)
    return f"{speed(ratio)} at p50 ({ends[0]:.2f} to {ends[1]:.2f} side by side)"


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


def _three(value: float) -> str:
    """Three significant digits, written without an exponent; of 1000 and more all digits before the point."""
    if value == 0 or abs(value) >= 999.5:
        return f"{value:.0f}"
    exponent = int(f"{value:.2e}".partition("e")[2])  # after rounding: 9.996 has the exponent of 10.0
    return f"{value:.{max(0, 2 - exponent)}f}"
