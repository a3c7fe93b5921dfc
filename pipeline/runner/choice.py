"""Which precision is shipped: decided from measurements, before the build stage runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline.errors import AccuracyError

if TYPE_CHECKING:
    from pipeline.recipe import GoalSection
    from pipeline.runner.measure import Measured

__all__ = ["Choice", "choose_precision"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What is shipped and why."""

    precision: Literal["int8", "float"]
    reason: str


def choose_precision(
    asked: Literal["auto", "int8", "float"],
    floats: Measured,
    int8: Measured,
    goal: GoalSection,
    *,
    ratio: float | None = None,
) -> Choice:
    """INT8 where it holds the accuracy limit and is faster than float on this target, else float.

    Args:
        asked: The recipe's ``build.precision``; anything but ``auto`` is obeyed.
        floats: The float graph on the target.
        int8: The Q/DQ file on the target.
        goal: The limit, and whether anything but INT8 is a failure.
        ratio: Of their times, measured side by side; None takes that of their medians.

    Raises:
        AccuracyError: when INT8 is required and loses more than the limit, or is not faster.
    """
    drop = floats.accuracy.value - int8.accuracy.value
    ratio = int8.p50_s / floats.p50_s if ratio is None else ratio
    change = (
        f"loses {100 * drop:.2f} points" if drop > 0 else f"gains {-100 * drop:.2f} points" if drop else "loses nothing"
    )
    figures = f"INT8 {change} and takes {ratio:.2f}x the time of float"
    holds = drop <= goal.max_accuracy_drop + 1e-9
    if asked != "auto":
        return Choice(precision=asked, reason=f"{asked} on request; {figures}")
    if holds and ratio < 1:
        return Choice(precision="int8", reason=figures)
    limit = f"at most {100 * goal.max_accuracy_drop:g} points lost, and faster than float"
    if goal.require == "int8":
        raise AccuracyError(
            "INT8 does not reach the goal",
            got=figures,
            expected=limit,
            fix="raise goal.max_accuracy_drop, keep the worst layers float with export.float_nodes, "
            "or try export.method",
        )
    return Choice(precision="float", reason=f"float is shipped: {figures}; asked were {limit}")
