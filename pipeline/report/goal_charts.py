"""The networks that were measured on the way to a goal, as a picture: accuracy against latency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from pipeline.report import figures
from pipeline.report.charts import Chart, blank_axes, own_style, svg_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.report.record import Report

__all__ = ["front_of", "goal_front"]

_WIDTH_IN, _HEIGHT_IN = 6.4, 3.2
_CUT, _SHIPPED, _LIMIT, _INK, _MUTED = "#7a93b8", "#1f6f54", "#a3312a", "#1d2733", "#66717f"
_TITLE = "Accuracy against latency of what was measured on the way"


class Measured(Protocol):
    """Something with a median latency, seconds, and an accuracy, a fraction of 1."""

    @property
    def p50_s(self) -> float: ...

    @property
    def accuracy(self) -> float: ...


_Point = TypeVar("_Point", bound=Measured)


def front_of(points: Sequence[_Point]) -> list[_Point]:
    """Those that no other one beats in latency and accuracy at once, the fastest first."""
    front: list[_Point] = []
    for point in sorted(points, key=lambda one: (one.p50_s, -one.accuracy)):
        if not front or point.accuracy > front[-1].accuracy:
            front.append(point)
    return front


@own_style()
def goal_front(report: Report) -> Chart | None:
    """Every network that was measured, and the front; what is shipped stands out. None where there is none but that.

    Only the ends are named: the plans lie close together, and the table beside the picture has them all.
    """
    goal = report.goal
    if goal is None or len(goal.points) < 2:
        return None
    points = goal.points
    figure, axes = blank_axes(_WIDTH_IN, _HEIGHT_IN)
    axes.spines["bottom"].set_visible(True)
    axes.spines["bottom"].set_color(_MUTED)
    axes.tick_params(axis="x", bottom=True, labelbottom=True, labelsize=8.5, labelcolor=_INK)
    front = front_of(points)
    axes.plot([1e3 * one.p50_s for one in front], [100 * one.accuracy for one in front], color=_MUTED, linewidth=1)
    if goal.limit_s is not None:
        axes.axvline(1e3 * goal.limit_s, color=_LIMIT, linewidth=1, linestyle="--")
        at = (1e3 * goal.limit_s, 0.02)
        axes.annotate(" asked for", at, xycoords=("data", "axes fraction"), fontsize=8.5, color=_LIMIT)
    for point in points:
        x, y = 1e3 * point.p50_s, 100 * point.accuracy
        axes.plot([x], [y], "o", color=_SHIPPED if point.recovered else _CUT, markersize=7 if point.recovered else 5)
        if point.recovered or point in points[:2]:
            axes.annotate(point.label, (x, y), xytext=(5, 4), textcoords="offset points", fontsize=8.5, color=_INK)
    axes.set_xlabel("p50, ms (pale: before recovery; line: the front)", fontsize=9, color=_INK)
    axes.set_ylabel("accuracy, %", fontsize=9, color=_INK)
    axes.margins(x=0.12, y=0.12)
    axes.set_title(_TITLE, loc="left", fontsize=9.5, color=_INK)
    words = f"{_TITLE}: " + ", ".join(
        f"{one.label} {figures.milliseconds(one.p50_s)} {figures.percent(one.accuracy)}" for one in points
    )
    return Chart(title=_TITLE, svg=svg_text(figure), words=words)
