"""What there was to choose from, as a picture: accuracy against latency."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from pipeline.report import figures
from pipeline.report.chart_labels import label_apart
from pipeline.report.charts import Chart, blank_axes, own_style, svg_text
from pipeline.report.choice_record import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.report.choice_record import MeasuredChoice

__all__ = ["Point", "choice_front", "front_of"]

_WIDTH_IN, _HEIGHT_IN = 6.4, 3.2
_CUT, _SHIPPED, _LIMIT, _INK, _MUTED = "#7a93b8", "#1f6f54", "#a3312a", "#1d2733", "#66717f"
_TITLE = "Accuracy against latency of what was measured on the way"


class Measured(Protocol):
    """Something with a median latency, seconds, and an accuracy, a fraction of 1."""

    @property
    def p50_s(self) -> float: ...

    @property
    def accuracy(self) -> float: ...


class Point(NamedTuple):
    """A candidate of which these were measured."""

    p50_s: float
    accuracy: float
    label: str


_Point = TypeVar("_Point", bound=Measured)


def front_of(points: Sequence[_Point]) -> list[_Point]:
    """Those that no other one beats in latency and accuracy at once, the fastest first."""
    front: list[_Point] = []
    for point in sorted(points, key=lambda one: (one.p50_s, -one.accuracy)):
        if not front or point.accuracy > front[-1].accuracy:
            front.append(point)
    return front


@own_style()
def choice_front(choice: MeasuredChoice, limit_s: float | None) -> Chart | None:
    """Every candidate with latency and accuracy, and the front; what is shipped stands out. None for less than two.

    Only the ends are named: what lies between is close together, and the table beside the picture has it all.

    Args:
        choice: Among what.
        limit_s: The latency that was asked for, seconds.
    """
    points = [
        Point(one.figures["p50_s"], one.figures["accuracy"], one.label)
        for one in choice.tried
        if {"p50_s", "accuracy"} <= one.figures.keys()
    ]
    if len(points) < 2:
        return None
    figure, axes = blank_axes(_WIDTH_IN, _HEIGHT_IN)
    axes.spines["bottom"].set_visible(True)
    axes.spines["bottom"].set_color(_MUTED)
    axes.tick_params(axis="x", bottom=True, labelbottom=True, labelsize=8.5, labelcolor=_INK)
    front = front_of(points)
    axes.plot([1e3 * one.p50_s for one in front], [100 * one.accuracy for one in front], color=_MUTED, linewidth=1)
    if limit_s is not None:
        axes.axvline(1e3 * limit_s, color=_LIMIT, linewidth=1, linestyle="--")
        at = (1e3 * limit_s, 0.02)
        axes.annotate(" asked for", at, xycoords=("data", "axes fraction"), fontsize=8.5, color=_LIMIT)
    labels = [one.label for one in points]
    named: dict[tuple[float, float], list[str]] = {}
    for point in points:
        x, y = 1e3 * point.p50_s, 100 * point.accuracy
        ships = point.label == SHIPPED
        axes.plot([x], [y], "o", color=_SHIPPED if ships else _CUT, markersize=7 if ships else 5)
        if ships or point in points[:2]:
            named.setdefault((x, y), []).append(point.label)
    axes.set_xlabel(f"p50, ms ({'green: shipped; ' * (SHIPPED in labels)}line: the front)", fontsize=9, color=_INK)
    axes.set_ylabel("accuracy, %", fontsize=9, color=_INK)
    axes.margins(x=0.12, y=0.12)
    axes.set_title(_TITLE, loc="left", fontsize=9.5, color=_INK)
    label_apart(
        figure,
        axes,
        {place: ", ".join(names) for place, names in named.items()},
        beside=[(1e3 * one.p50_s, 100 * one.accuracy) for one in points],
    )
    words = f"{_TITLE}: " + ", ".join(
        f"{one.label} {figures.milliseconds(one.p50_s)} {figures.percent(one.accuracy)}" for one in points
    )
    return Chart(title=_TITLE, svg=svg_text(figure), words=words)
