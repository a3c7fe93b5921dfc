"""A fleet's pictures: accuracy against latency of what may be compared, and the front."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.report import figures
from pipeline.report.chart_labels import label_apart
from pipeline.report.charts import Chart, blank_axes, own_style, svg_text
from pipeline.report.choice_charts import front_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.report.fleet_record import FleetCell
    from pipeline.report.fleet_texts import Group

__all__ = ["fleet_front"]

_WIDTH_IN, _HEIGHT_IN = 6.4, 3.4
_INK, _MUTED = "#1d2733", "#66717f"
_COLOURS = ("#2f5d9b", "#1f6f54", "#b0762b", "#7a4b94", "#a3312a", "#4d7d86")
"""One a target, in order; more of them begin anew."""
_LONGEST = 40
"""Letters beside a point; the table has whole names."""
_NAMED = 16
"""Of more points only those of the front are named."""
_WIDE = 8.0
"""Where the slowest takes so many times as long as the fastest, latencies are drawn by their orders of magnitude."""


@dataclass(frozen=True, slots=True)
class _Point:
    cell: FleetCell
    p50_s: float
    accuracy: float


@own_style()
def fleet_front(group: Group, targets: Sequence[str]) -> Chart:
    """Accuracy against latency of a group's cells, and those that no other beats in both.

    Args:
        group: Measured cells.
        targets: All targets of the fleet, so that a target has one colour in all pictures.
    """
    points = [_point(cell) for cell in group.cells]
    front = front_of(points)
    figure, axes = blank_axes(_WIDTH_IN, _HEIGHT_IN)
    axes.spines["bottom"].set_visible(True)
    axes.spines["bottom"].set_color(_MUTED)
    axes.plot([1e3 * one.p50_s for one in front], [100 * one.accuracy for one in front], color=_MUTED, linewidth=1)
    shown = [target for target in targets if any(cell.target == target for cell in group.cells)]
    for target in shown:
        own = [one for one in points if one.cell.target == target]
        colour = _COLOURS[targets.index(target) % len(_COLOURS)]
        axes.plot(*_places(own), "o", color=colour, markersize=6, label=target)
    _scale(axes, points)
    axes.set_xlabel("latency p50, ms (line: those that no other beats in both)", fontsize=8.5, color=_MUTED)
    axes.set_ylabel("accuracy, %", fontsize=8.5, color=_MUTED)
    axes.set_title(group.title, loc="left", fontsize=9.5, color=_INK)
    if len(shown) > 1:
        axes.legend(fontsize=8.5, frameon=False, labelcolor=_INK, loc="lower right")
    places = list(zip(*_places(points), strict=True))
    label_apart(figure, axes, _labels(points if len(points) <= _NAMED else front), beside=places)
    return Chart(title=group.title, svg=svg_text(figure), words=f"{group.title}: {_words(points, front)}")


def _labels(points: Sequence[_Point]) -> dict[tuple[float, float], str]:
    """What stands beside each place of the picture."""
    names: dict[tuple[float, float], list[str]] = {}
    for one in points:
        names.setdefault((1e3 * one.p50_s, 100 * one.accuracy), []).append(one.cell.name)
    told = {place: f"{first} and {len(others)} more" if others else first for place, (first, *others) in names.items()}
    return {place: text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..." for place, text in told.items()}


def _point(cell: FleetCell) -> _Point:
    found = cell.figures
    assert found is not None  # noqa: S101 - a group holds measured cells
    assert found.p50_s is not None  # noqa: S101 - as above
    assert found.accuracy.value is not None  # noqa: S101 - as above
    return _Point(cell, found.p50_s, found.accuracy.value)


def _places(points: Sequence[_Point]) -> tuple[list[float], list[float]]:
    return [1e3 * one.p50_s for one in points], [100 * one.accuracy for one in points]


def _scale(axes: Any, points: Sequence[_Point]) -> None:  # noqa: ANN401 - matplotlib has no types
    """Room for labels beside all points, and round figures along the axis."""
    from matplotlib.ticker import LogLocator, NullLocator

    xs, ys = _places(points)
    if max(xs) > _WIDE * min(xs):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(min(xs) / 1.5, 2.5 * max(xs))
    else:
        axes.set_xlim(0, 1.35 * max(xs))
    room = max(max(ys) - min(ys), 0.5)
    axes.set_ylim(min(ys) - 0.4 * room, max(ys) + 0.4 * room)
    axes.set_yticks([tick for tick in axes.get_yticks() if axes.get_ylim()[0] <= tick <= min(100, axes.get_ylim()[1])])
    axes.tick_params(axis="both", bottom=True, labelbottom=True, labelsize=8, labelcolor=_MUTED)
    axes.xaxis.set_major_formatter("{x:g}")


def _words(points: Sequence[_Point], front: Sequence[_Point]) -> str:
    told = ", ".join(
        f"{one.cell.name} {figures.milliseconds(one.p50_s)} {figures.percent(one.accuracy)}" for one in points
    )
    return f"{told}; beaten by none: {', '.join(one.cell.name for one in front)}"
