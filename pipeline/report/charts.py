"""The report's pictures, each an SVG text drawn from the record alone."""

from __future__ import annotations

import io
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.report import figures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.report.record import Report, StageRow

__all__ = ["Chart", "blank_axes", "layer_damages", "own_style", "svg_text", "waterfall"]

_WIDTH_IN, _ROW_IN, _FRAME_IN = 4.6, 0.36, 0.62
_FLOAT, _INT8, _TAIL, _INK, _MUTED = "#7a93b8", "#1f6f54", "#c9d4e5", "#1d2733", "#66717f"
_INT8_STAGES = frozenset({"export", "build"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """A picture and what it says in words, for those who do not see it."""

    title: str
    svg: str
    words: str


@contextmanager
def own_style() -> Iterator[None]:
    """Within it (or decorated by it) matplotlib draws the same whatever the person's own settings of it are."""
    import matplotlib as mpl

    plain = {key: value for key, value in mpl.rcParamsDefault.items() if key != "backend"}
    own = {"svg.fonttype": "none", "svg.hashsalt": "edgewright", "font.family": "sans-serif", "text.parse_math": False}
    with mpl.rc_context({**plain, **own}):
        yield


@own_style()
def waterfall(report: Report) -> tuple[Chart, ...]:
    """One chart a figure, a bar a stage, from the baseline down to what is shipped."""
    rows = [row for row in report.stages if row.status != "skipped"]
    if not rows:
        return ()
    drawn = (
        _bars(
            rows,
            "Latency: p50, and p95 as a pale tail",
            lambda row: row.latency_s.p50,
            figures.milliseconds,
            tail=lambda row: row.latency_s.p95,
        ),
        _bars(rows, "Size of what is loaded", lambda row: row.size_bytes, figures.megabytes),
        _bars(
            rows,
            "Memory: the peak, its pale tail given back before the end",
            lambda row: row.memory_bytes.run,
            figures.megabytes,
            tail=lambda row: row.memory_bytes.peak,
            labelled_by_tail=True,
        ),
        _bars(
            rows,
            f"Accuracy: {rows[0].accuracy.metric} on {rows[0].accuracy.n} test images",
            lambda row: row.accuracy.value,
            figures.percent,
            zoomed=True,
        ),
    )
    return tuple(chart for chart in drawn if chart is not None)


@own_style()
def layer_damages(report: Report, count: int = 20) -> Chart | None:
    """The layers whose INT8 moves the output most, the worst on top; None when none was looked at."""
    damages = report.quantization.damages[:count] if report.quantization is not None else ()
    if not damages:
        return None
    title = "Layers by the error they alone bring into the output (green: kept in float)"
    figure, axes = blank_axes(2 * _WIDTH_IN, _FRAME_IN + 0.26 * len(damages))
    most = max(damages[0].noise, 1e-9)
    for place, damage in enumerate(damages):
        axes.barh(place, damage.noise, height=0.66, color=_INT8 if damage.kept_float else _FLOAT)
        text = figures.fine_percent(damage.noise)
        axes.text(damage.noise + 0.01 * most, place, text, va="center", ha="left", fontsize=8.5, color=_INK)
    axes.set_yticks(range(len(damages)), [damage.layer for damage in damages], fontsize=8.5)
    axes.set_xlim(0, 1.15 * most)
    axes.set_ylim(len(damages) - 0.4, -0.6)
    axes.set_title(title, loc="left", fontsize=9.5, color=_INK)
    words = title + ": " + ", ".join(f"{damage.layer} {figures.fine_percent(damage.noise)}" for damage in damages)
    return Chart(title=title, svg=svg_text(figure), words=words)


def _bars(  # noqa: PLR0913 - what is drawn, and how
    rows: Sequence[StageRow],
    title: str,
    value_of: Callable[[StageRow], float | int | None],
    written: Callable[[Any], str],
    *,
    tail: Callable[[StageRow], float | int | None] | None = None,
    labelled_by_tail: bool = False,
    zoomed: bool = False,
) -> Chart | None:
    """Horizontal bars from zero; None when nothing was measured.

    ``labelled_by_tail`` writes the figure at the tail's end, where the table has that one; ``zoomed`` starts the axis
    near the smallest.
    """
    measured = [(row, value) for row in rows if (value := value_of(row)) is not None]
    if not measured:
        return None
    figure, axes = blank_axes(_WIDTH_IN, _FRAME_IN + _ROW_IN * len(measured))
    values = [value for _, value in measured]
    tails = [max(value, (tail(row) if tail else None) or 0) for row, value in measured]
    left = _zoom(values) if zoomed else 0.0
    span = max(max(tails) - left, 1e-9)
    for place, ((row, value), end) in enumerate(zip(measured, tails, strict=True)):
        axes.barh(place, end - left, left=left, height=0.62, color=_TAIL)
        axes.barh(place, value - left, left=left, height=0.62, color=_INT8 if row.name in _INT8_STAGES else _FLOAT)
        told = written(end if labelled_by_tail else value)
        axes.text(end + 0.02 * span, place, told, va="center", ha="left", fontsize=9, color=_INK)
    axes.set_yticks(range(len(measured)), [row.name for row, _ in measured])
    axes.set_xlim(left, left + 1.32 * span)
    axes.set_ylim(len(measured) - 0.4, -0.6)
    axes.set_title(title + (f" (axis from {written(left)})" if left else ""), loc="left", fontsize=9.5, color=_INK)
    ends = tails if labelled_by_tail else values
    words = title + ": " + ", ".join(f"{row.name} {written(end)}" for (row, _), end in zip(measured, ends, strict=True))
    return Chart(title=title, svg=svg_text(figure), words=words)


def _zoom(values: Sequence[float]) -> float:
    """Where an axis of fractions starts so that a difference of one point can be seen."""
    room = max(max(values) - min(values), 0.01)
    return max(0.0, round(min(values) - 2 * room, 2))


def blank_axes(width_in: float, height_in: float) -> tuple[Any, Any]:
    """A figure and its axes without frame and ticks."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set_color(_MUTED)
    axes.tick_params(axis="y", length=0, labelsize=9, labelcolor=_INK)
    axes.tick_params(axis="x", bottom=False, labelbottom=False)
    return figure, axes


def svg_text(figure: Any) -> str:  # noqa: ANN401 - matplotlib has no types
    """The figure's ``<svg>`` element, the same text for the same figure, with letters kept as letters.

    The figure is used up: it stays without a background.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    for one in (figure, *figure.axes):
        one.patch.set(facecolor="none", edgecolor="none")
    buffer = io.StringIO()
    # Not by savefig, which draws everything once more before, to lay it out: drawing itself lays it out too.
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace('font: 9px "DejaVu Sans"', "font: 9px inherit")
