"""Which precision is shipped: decided from measurements, before the build stage runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline.errors import AccuracyError
from pipeline.planning.accuracy_limit import drop
from pipeline.report.figures import fine_percent, points

if TYPE_CHECKING:
    from exporters.target import Precision
    from pipeline.chain.engine_measurement import Measured
    from pipeline.planning.accuracy_limit import AccuracyLimit
    from pipeline.planning.time_ratio import TimeRatio
    from pipeline.quantization.share import Int8Share
    from pipeline.recipe.goal import GoalSection

__all__ = ["CLEARLY", "Choice", "Half", "choose_precision", "choose_without_int8", "too_little", "too_little_error"]

CLEARLY = 0.97
"""Of the time in one precision: what takes less in another one hardly ships in the first, in a better form either."""
_UNTIMED = "was not timed beside float, since the budget was spent"


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What is shipped and why."""

    precision: Precision
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Half:
    """The same network in 16-bit floats, on targets that have them; ``ratio``: its time over that of float."""

    precision: Precision
    measured: Measured
    ratio: TimeRatio


def choose_precision(  # noqa: PLR0913 - keyword arguments, some of them optional
    asked: Precision | Literal["auto"],
    floats: Measured,
    int8: Measured,
    limit: AccuracyLimit,
    *,
    ratio: TimeRatio | None,
    half: Half | None = None,
    settled: Precision | None = None,
) -> Choice:
    """INT8 where it holds the accuracy limit and is the fastest on this target; else 16-bit floats; else float.

    INT8 that is not the fastest is taken where a size in bytes is asked for that it alone holds.

    Args:
        asked: The recipe's ``build.precision``; anything but ``auto`` is obeyed.
        floats: The float graph on the target.
        int8: The Q/DQ file on the target.
        limit: What may be lost, and whether anything but INT8 is a failure.
        ratio: INT8's time over that of float, side by side; None where it was not timed, as only a precision that was
            asked for allows.
        half: What 16-bit floats are there; INT8 has to be faster than them too.
        settled: In which a goal was planned, where what is left is about as fast in others: it is shipped unless
            another one is clearly faster.

    Raises:
        AccuracyError: when INT8 is required and loses more than the limit, or, where it was not asked for, is not
            faster.
    """
    goal = limit.goal
    figures = f"INT8 {_change(floats, int8)} and {_UNTIMED if ratio is None else ratio.told('float')}"
    if goal.min_agreement is not None:
        figures += f", same answers on {100 * limit.agreement(floats, int8):.2f} %"
    if asked != "auto":
        return _on_request(asked, figures, goal, holds=limit.holds(floats, int8))
    assert ratio is not None  # noqa: S101 - what decides is measured
    precision: Precision = "float"
    time, fallen_back_to, planned_in = 1.0, floats, ""
    if half is not None:
        figures += f", {half.precision} {_change(floats, half.measured)} and {half.ratio.told('float')}"
        if _half_is_taken(floats, half, limit, settled):
            planned_in = _planned(half.ratio.ratio < time)
            precision, time, fallen_back_to = half.precision, half.ratio.ratio, half.measured
    if limit.holds(floats, int8):
        if _counted(ratio.ratio, "int8", settled) < _counted(time, precision, settled):
            return Choice(precision="int8", reason=figures + _planned(ratio.ratio < time))
        if int8.size_bytes <= goal.most_bytes < fallen_back_to.size_bytes:
            return Choice(precision="int8", reason=f"{figures}; {precision} is larger than goal.size={goal.size}")
    asked_were = f"{_limits(goal)}, and faster than {precision}"
    if settled == precision:
        asked_were += f" by {1 - CLEARLY:.0%}, since the goal was planned in it"
    if "int8" in goal.require:
        raise _not_reached(figures, asked_were)
    return Choice(precision=precision, reason=f"{precision} is shipped: {figures}{planned_in}; asked were {asked_were}")


def _on_request(asked: Precision, figures: str, goal: GoalSection, *, holds: bool) -> Choice:
    if "int8" in goal.require and not holds:
        raise _not_reached(figures, _limits(goal))
    return Choice(precision=asked, reason=f"{asked} on request; {figures}")


def _limits(goal: GoalSection) -> str:
    """What may be lost: ``at most 1 point lost``, and how many answers have to stay."""
    agreeing = "" if goal.min_agreement is None else f", same answers on at least {100 * goal.min_agreement:g} %"
    return f"at most {points(goal.max_accuracy_drop)} lost{agreeing}"


def _not_reached(figures: str, asked_were: str) -> AccuracyError:
    return AccuracyError(
        "INT8 does not reach the goal",
        got=figures,
        expected=asked_were,
        fix="raise goal.max_accuracy_drop, keep the worst layers float with export.float_nodes, or try export.method",
    )


def _planned(is_fastest: bool) -> str:  # noqa: FBT001 - one word
    """Why a precision is taken that is not the fastest."""
    return "" if is_fastest else f", in which the goal was planned: no other one is faster by {1 - CLEARLY:.0%}"


def _half_is_taken(floats: Measured, half: Half, limit: AccuracyLimit, settled: Precision | None) -> bool:
    """Whether 16-bit floats hold the limit, and are taken before float."""
    is_faster = _counted(half.ratio.ratio, half.precision, settled) < _counted(1.0, "float", settled)
    return limit.holds(floats, half.measured) and is_faster


def _counted(ratio: float, precision: Precision, settled: Precision | None) -> float:
    """A time over that of float, as it is compared with others."""
    return CLEARLY * ratio if precision == settled else ratio


def choose_without_int8(
    asked: Precision | Literal["auto"],
    most: Int8Share,
    floats: Measured,
    limit: AccuracyLimit,
    *,
    half: Half | None = None,
    settled: Precision | None = None,
) -> Choice:
    """16-bit floats or float, for a network of which too little runs in INT8 for that name.

    Args:
        asked: The recipe's ``build.precision``.
        most: How much of it can run in INT8, less than what is called so.
        floats: The float graph on the target.
        limit: What may be lost, and whether anything but INT8 is a failure.
        half: What 16-bit floats are there.
        settled: As of :func:`choose_precision`.

    Raises:
        AccuracyError: when INT8 is required.
    """
    why = too_little(most)
    if asked == "int8" or "int8" in limit.goal.require:
        raise too_little_error(most)
    if asked != "auto":
        return Choice(precision=asked, reason=f"{asked} on request; {why}")
    if half is not None and _half_is_taken(floats, half, limit, settled):
        told = f"{_change(floats, half.measured)} and {half.ratio.told('float')}"
        return Choice(precision=half.precision, reason=f"{half.precision} is shipped: {why}; {half.precision} {told}")
    return Choice(precision="float", reason=f"float is shipped: {why}")


def too_little(most: Int8Share) -> str:
    """Why a network is not called INT8, for a sentence."""
    if not most.layers:
        return "no layer of this network can run in INT8"
    layers = f"{most.layers} of {most.total_layers} layers"
    return f"only {fine_percent(most.of_macs)} of this network's multiplications can run in INT8, {layers}"


def too_little_error(most: Int8Share) -> AccuracyError:
    """What such a network gets where INT8 is required."""
    return AccuracyError(
        "INT8 does not reach the goal",
        got=too_little(most),
        expected="convolutions or matrix products with constant weights before the output that make up half of the "
        "multiplications",
        fix="leave out what asks for INT8; where export.float_nodes names layers, name fewer of them",
    )


def _change(floats: Measured, other: Measured) -> str:
    lost = drop(floats, other)
    return f"loses {points(lost)}" if lost > 0 else f"gains {points(lost)}" if lost else "loses nothing"
