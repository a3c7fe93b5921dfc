"""The gate's pictures: intervals against margins, processes beside their controls, the run with the machine's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.report.chart_labels import MARKER, label_apart
from pipeline.report.charts import Chart, blank_axes, own_style, svg_text
from pipeline.report.comparison import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.report.comparison import Comparison, MetricRow, ProcessPoint
    from pipeline.report.record import HistoryPoint, StageRow

__all__ = ["forest", "history", "memory_phases", "pareto", "process_dots", "run_order"]

_COLOURS = {
    Verdict.OK: "#1f6f54",
    Verdict.IMPROVED: "#1f6f54",
    Verdict.REGRESSED: "#a3312a",
    Verdict.INCONCLUSIVE: "#8a5a00",
    Verdict.UNFIT: "#8a5a00",
}
_PAIR, _CONTROL, _INK, _MUTED, _BAND = "#2f5d9b", "#b0762b", "#1d2733", "#66717f", "#e9eef5"
_WIDTH_IN = 4.6
_QUIET_PERCENT = 20
"""The least that the axis of what was taken reaches to, or a quiet machine would look like a busy one."""


@own_style()
def forest(found: Comparison) -> Chart | None:
    """Every change with its interval, in units of its own margin: what reaches 1 is worse than the margin."""
    rows = [row for row in found.metrics if row.gating and row.change is not None and row.limit > 0]
    if not rows:
        return None
    figure, axes = blank_axes(_WIDTH_IN, 0.75 + 0.4 * len(rows))
    axes.axvspan(-1, 1, color=_BAND, zorder=0)
    axes.axvline(0, color=_MUTED, linewidth=0.8)
    axes.axvline(1, color=_COLOURS[Verdict.REGRESSED], linewidth=0.8, linestyle=(0, (4, 3)))
    reach = 1.6
    for place, row in enumerate(rows):
        low, middle, high = (None if value is None else value / row.limit for value in (row.low, row.change, row.high))
        ends = [middle if low is None else low, middle if high is None else high]
        reach = max(reach, *(min(abs(end), 6.0) for end in ends if end is not None))
        axes.plot(
            [max(-6, ends[0] or 0), min(6, ends[1] or 0)], [place, place], color=_COLOURS[row.verdict], linewidth=2.4
        )
        axes.plot([min(max(middle or 0, -6), 6)], [place], "o", color=_COLOURS[row.verdict], markersize=5)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_xlim(-reach * 1.1, reach * 1.1)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="x", bottom=True, labelbottom=True, labelsize=8, labelcolor=_MUTED)
    axes.set_xlabel("change, in margins (right is worse; the dashed line is the limit)", fontsize=8.5, color=_MUTED)
    axes.set_title("Changes with their intervals", loc="left", fontsize=9.5, color=_INK)
    words = "Changes in margins: " + ", ".join(f"{row.name} {_in_margins(row)} ({row.verdict})" for row in rows)
    return Chart(title="Changes with their intervals", svg=svg_text(figure), words=words)


def _in_margins(row: MetricRow) -> str:
    return f"{(row.change or 0) / row.limit:+.2f}"


@own_style()
def process_dots(found: Comparison) -> Chart | None:
    """Every process's change of the median, the controls beside: how large no difference looks here."""
    if not found.processes:
        return None
    limit = next((row.limit for row in found.metrics if row.name == "latency p50"), 0.0)
    figure, axes = blank_axes(_WIDTH_IN, 1.7)
    axes.axvspan(-100 * limit, 100 * limit, color=_BAND, zorder=0)
    axes.axvline(0, color=_MUTED, linewidth=0.8)
    for height, (kind, colour) in enumerate((("pair", _PAIR), ("control", _CONTROL))):
        points = [process for process in found.processes if process.kind == kind]
        for number, process in enumerate(points):
            spread = 0.28 * ((number % 3) - 1)
            axes.plot([100 * process.p50_change], [height + spread], "o", color=colour, markersize=4.5, alpha=0.8)
    axes.set_yticks([0, 1], ["candidate", "control"])
    axes.set_ylim(1.6, -0.6)
    axes.tick_params(axis="x", bottom=True, labelbottom=True, labelsize=8, labelcolor=_MUTED)
    axes.set_xlabel("change of the median latency, %: a dot a process, a band the margin", fontsize=8, color=_MUTED)
    axes.set_title("Processes, and the baseline against itself", loc="left", fontsize=9.5, color=_INK)
    return Chart(
        title="Processes", svg=svg_text(figure), words="Change of the median latency: " + _dot_words(found.processes)
    )


def _dot_words(processes: Sequence[ProcessPoint]) -> str:
    told = []
    for kind in ("pair", "control"):
        changes = [100 * process.p50_change for process in processes if process.kind == kind]
        if changes:
            told.append(f"{len(changes)} {kind}s from {min(changes):+.2f} to {max(changes):+.2f} %")
    return ", ".join(told)


@own_style()
def run_order(found: Comparison) -> Chart | None:
    """The processes in the order they ran, with what else the machine did."""
    if not found.processes:
        return None
    points = sorted(found.processes, key=lambda process: process.position)
    figure, axes = blank_axes(_WIDTH_IN, 2.3)
    places = range(len(points))
    others, stolen = ([100 * (getattr(one, name) or 0) for one in points] for name in ("others", "steal"))
    axes.bar(places, others, color=_BAND, width=0.9)
    axes.bar(places, stolen, bottom=others, color="#d8b9b6", width=0.9)
    axes.set_ylim(0, max(_QUIET_PERCENT, 1.1 * max(map(sum, zip(others, stolen, strict=True)))))
    axes.tick_params(axis="both", bottom=True, labelbottom=True, labelsize=8, labelcolor=_MUTED)
    axes.set_ylabel("cores taken, %", fontsize=8, color=_MUTED)
    right: Any = axes.twinx()
    right.spines[["top", "right", "bottom", "left"]].set_visible(False)
    baseline = [1000 * point.baseline_p50_s for point in points]
    other = [1000 * point.other_p50_s for point in points]
    right.plot(places, baseline, "o-", color=_CONTROL, markersize=3, linewidth=0.9)
    right.plot(places, other, "o", color=_PAIR, markersize=3.5)
    right.tick_params(axis="y", length=0, labelsize=8, labelcolor=_MUTED)
    right.set_ylabel("median, ms", fontsize=8, color=_MUTED)
    axes.set_xlabel("process (bars: pale blue by other programs, red by the hypervisor)", fontsize=8.5, color=_MUTED)
    axes.set_title("Run order: medians (brown baseline, blue other)", loc="left", fontsize=9.5, color=_INK)
    words = f"{len(points)} processes in order; {_taken_words(points)}"
    return Chart(title="Run order", svg=svg_text(figure), words=words)


def _taken_words(points: Sequence[ProcessPoint]) -> str:
    told = []
    for who, shares in (
        ("other programs", [point.others for point in points if point.others is not None]),
        ("the hypervisor", [point.steal for point in points if point.steal is not None]),
    ):
        told.append(f"{who} took at most {100 * max(shares):.0f} %" if shares else f"what {who} took is not known")
    return f"of the cores' time {' and '.join(told)}"


@own_style()
def pareto(rows: Sequence[StageRow]) -> Chart | None:
    """Accuracy against latency, a point a stage: up and to the left is better."""
    points = [
        (row.name, 1000 * row.latency_s.p50, 100 * row.accuracy.value)
        for row in rows
        if row.latency_s.p50 is not None and row.accuracy.value is not None
    ]
    if len(points) < 2:
        return None
    figure, axes = blank_axes(_WIDTH_IN, 2.6)
    seen: dict[tuple[float, float], list[str]] = {}
    for name, x, y in points:
        seen.setdefault((x, y), []).append(name)
    axes.plot([x for x, _ in seen], [y for _, y in seen], "o", color=_PAIR, markersize=MARKER)
    axes.set_xlim(0, 1.35 * max(x for _, x, _ in points))
    low, high = min(y for *_, y in points), max(y for *_, y in points)
    room = max(high - low, 0.5)
    axes.set_ylim(low - 0.4 * room, high + 0.4 * room)
    axes.tick_params(axis="both", bottom=True, labelbottom=True, labelsize=8, labelcolor=_MUTED)
    axes.set_xlabel("latency p50, ms", fontsize=8.5, color=_MUTED)
    axes.set_ylabel(f"{rows[0].accuracy.metric}, %", fontsize=8.5, color=_MUTED)
    axes.set_title("Accuracy against latency", loc="left", fontsize=9.5, color=_INK)
    label_apart(figure, axes, {point: ", ".join(names) for point, names in seen.items()})
    words = "Accuracy against latency: " + ", ".join(f"{name} {x:.2f} ms {y:.2f} %" for name, x, y in points)
    return Chart(title="Accuracy against latency", svg=svg_text(figure), words=words)


@own_style()
def memory_phases(rows: Sequence[StageRow]) -> Chart | None:
    """What is resident after each phase, stacked: the runtime, loading on top of it, running on top of that."""
    measured = [row for row in rows if row.memory_bytes.import_ and row.memory_bytes.load and row.memory_bytes.run]
    if not measured:
        return None
    figure, axes = blank_axes(_WIDTH_IN, 0.8 + 0.36 * len(measured))
    for place, row in enumerate(measured):
        memory = row.memory_bytes
        ends = [(memory.import_ or 0) / 1e6, (memory.load or 0) / 1e6, (memory.run or 0) / 1e6]
        start = 0.0
        for end, colour in zip(ends, ("#c9d4e5", "#7a93b8", "#2f5d9b"), strict=True):
            axes.barh(place, max(end - start, 0), left=start, height=0.62, color=colour)
            start = max(start, end)
    axes.set_yticks(range(len(measured)), [row.name for row in measured])
    axes.set_ylim(len(measured) - 0.4, -0.6)
    axes.tick_params(axis="x", bottom=True, labelbottom=True, labelsize=8, labelcolor=_MUTED)
    axes.set_xlabel("MB resident: runtime, then loading, then running", fontsize=8.5, color=_MUTED)
    axes.set_title("Memory by phase", loc="left", fontsize=9.5, color=_INK)
    words = "Memory after import, load, run in MB: " + ", ".join(
        f"{row.name} {(row.memory_bytes.import_ or 0) / 1e6:.0f}, {(row.memory_bytes.load or 0) / 1e6:.0f}, "
        f"{(row.memory_bytes.run or 0) / 1e6:.0f}"
        for row in measured
    )
    return Chart(title="Memory by phase", svg=svg_text(figure), words=words)


@own_style()
def history(points: Sequence[HistoryPoint]) -> Chart | None:
    """Accepted medians over time, with the changes of level; one machine class a line, since others do not compare."""
    if len(points) < 2:
        return None
    figure, axes = blank_axes(_WIDTH_IN, 2.2)
    for machine_class in dict.fromkeys(point.machine_class for point in points):
        own = [(place, point) for place, point in enumerate(points) if point.machine_class == machine_class]
        axes.plot([place for place, _ in own], [1000 * point.latency_p50_s for _, point in own], "o-", markersize=4)
    for place, point in enumerate(points):
        if point.new_level:
            axes.axvline(place - 0.5, color=_COLOURS[Verdict.REGRESSED], linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_ylim(0, None)
    axes.tick_params(axis="both", bottom=True, labelbottom=True, labelsize=8, labelcolor=_MUTED)
    axes.set_xlabel("accepted baselines, in order (dashed: the level changed)", fontsize=8.5, color=_MUTED)
    axes.set_ylabel("latency p50, ms", fontsize=8.5, color=_MUTED)
    axes.set_title("History", loc="left", fontsize=9.5, color=_INK)
    words = "Accepted medians in ms: " + ", ".join(f"{1000 * point.latency_p50_s:.2f}" for point in points)
    return Chart(title="History", svg=svg_text(figure), words=words)
