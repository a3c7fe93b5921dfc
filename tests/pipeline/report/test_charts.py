"""The pictures: the same text for the same record, words beside them, and axes that do not mislead."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from xml.dom import minidom

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.charts import Chart, _zoom, waterfall

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.report.record import Report, StageRow

_DRAW = """
import sys
from pathlib import Path

from pipeline.report.charts import waterfall
from pipeline.report.record import Report

report = Report.model_validate_json(Path(sys.argv[1]).read_bytes())
sys.stdout.write("".join(chart.svg + chart.words for chart in waterfall(report)))
"""


def _texts(chart: Chart) -> list[str]:
    """The letters in the picture, in the order in which they are drawn."""
    document = minidom.parseString(chart.svg)  # noqa: S318 - our own picture
    return [
        "".join(getattr(node, "data", "") for node in text.childNodes) for text in document.getElementsByTagName("text")
    ]


@pytest.fixture(scope="module")
def drawn(report: Report) -> tuple[Chart, ...]:
    """The pictures of the plain report, drawn once."""
    return waterfall(report)


def _changed(report: Report, **values: Any) -> Report:  # noqa: ANN401 - fields of a row
    rows: list[StageRow] = [row.model_copy(update=values) for row in report.stages]
    return report.model_copy(update={"stages": tuple(rows)})


def test_there_is_a_picture_each_of_latency_size_memory_and_accuracy(drawn: tuple[Chart, ...]) -> None:
    assert [chart.title for chart in drawn] == [
        "Latency: p50, and p95 as a pale tail",
        "Size of what is loaded",
        "Memory: the peak, its pale tail given back before the end",
        "Accuracy: top1 on 360 test images",
    ]


def test_every_picture_says_in_words_what_it_shows(drawn: tuple[Chart, ...]) -> None:
    latency, size, memory, accuracy = (chart.words for chart in drawn)
    assert latency == (
        "Latency: p50, and p95 as a pale tail: "
        "baseline 11.2 ms, prune 4.80 ms, calibrate 4.80 ms, export 1.20 ms, build 1.20 ms"
    )
    assert size == (
        "Size of what is loaded: baseline 44.8 MB, prune 22.4 MB, calibrate 22.4 MB, export 5.60 MB, build 5.60 MB"
    )
    assert memory == (
        "Memory: the peak, its pale tail given back before the end: "
        "baseline 120 MB, prune 120 MB, calibrate 120 MB, export 120 MB, build 120 MB"
    )
    assert accuracy == (
        "Accuracy: top1 on 360 test images: "
        "baseline 97.50 %, prune 97.78 %, calibrate 97.78 %, export 97.22 %, build 97.22 %"
    )


def test_a_picture_holds_the_stages_and_their_figures_as_letters(drawn: tuple[Chart, ...]) -> None:
    texts = _texts(drawn[0])
    for word in ("baseline", "11.2 ms", "prune", "4.80 ms", "build", "1.20 ms", "Latency: p50, and p95 as a pale tail"):
        assert word in texts


def test_a_skipped_stage_is_not_drawn(drawn: tuple[Chart, ...]) -> None:
    assert all("distill" not in chart.svg for chart in drawn)


def test_the_same_record_gives_the_same_text_in_another_process(
    report: Report, drawn: tuple[Chart, ...], tmp_path: Path
) -> None:
    # Another process, because sets and counters start anew there, and another hash seed.
    (tmp_path / "report.json").write_text(report.model_dump_json(by_alias=True), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", _DRAW, str(tmp_path / "report.json")],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "11", "MPLCONFIGDIR": str(tmp_path), "HOME": str(tmp_path)},
    )
    here = "".join(chart.svg + chart.words for chart in drawn)
    assert done.stdout == here
    assert here == "".join(chart.svg + chart.words for chart in waterfall(report))


def test_a_persons_own_settings_of_the_plotting_library_change_nothing(
    report: Report, drawn: tuple[Chart, ...]
) -> None:
    import matplotlib as mpl

    own = {
        "axes.facecolor": "black",
        "font.size": 30,
        "figure.dpi": 300,
        "axes.titlelocation": "right",
        "axes.grid": True,
    }
    with mpl.rc_context(own):
        assert waterfall(report)[0].svg == drawn[0].svg


def test_no_picture_tells_when_or_with_what_it_was_drawn(drawn: tuple[Chart, ...]) -> None:
    for chart in drawn:
        assert "dc:date" not in chart.svg
        assert "dc:creator" not in chart.svg
        assert not re.search(r"\b20\d\d-\d\d-\d\d", chart.svg)


def test_what_the_target_loads_in_the_end_has_a_colour_of_its_own(drawn: tuple[Chart, ...]) -> None:
    size = drawn[1].svg
    assert (size.count("#7a93b8"), size.count("#1f6f54")) == (3, 2)


def test_only_the_axis_of_accuracy_starts_above_zero_and_it_says_so(drawn: tuple[Chart, ...]) -> None:
    found = [[text for text in _texts(chart) if "axis from" in text] for chart in drawn]
    assert found == [[], [], [], ["Accuracy: top1 on 360 test images (axis from 95.00 %)"]]


def test_an_axis_of_accuracy_that_starts_at_zero_says_nothing(report: Report) -> None:
    accuracy = report.stages[0].accuracy.model_copy(update={"value": 0.01})
    assert "axis from" not in waterfall(_changed(report, accuracy=accuracy))[-1].svg


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_an_axis_starts_below_every_bar_so_that_each_one_can_be_seen(values: list[float]) -> None:
    start = _zoom(values)
    assert start == 0 or (0 < start < min(values))
    # A bar of zero length would be no bar: the smallest is at least as long as the differences are large.
    assert start == 0 or min(values) - start >= max(values) - min(values)


def test_a_figure_that_no_stage_has_gives_no_picture(report: Report) -> None:
    titles = [chart.title for chart in waterfall(_changed(report, size_bytes=None))]
    assert len(titles) == 3
    assert "Size of what is loaded" not in titles


def test_a_stage_without_a_figure_is_left_out_of_that_picture_alone(report: Report) -> None:
    rows = (report.stages[0].model_copy(update={"size_bytes": None}), *report.stages[1:])
    latency, size, *_ = waterfall(report.model_copy(update={"stages": rows}))
    assert "baseline" in latency.words
    assert "baseline" not in size.words


def test_without_a_p95_the_bar_has_no_tail(report: Report) -> None:
    latency = report.stages[0].latency_s.model_copy(update={"p95": None})
    bare = waterfall(_changed(report, latency_s=latency))[0]
    assert "baseline 11.2 ms" in bare.words
    assert "nan" not in bare.svg.lower()


@pytest.mark.parametrize("stages", ["none", "skipped"])
def test_a_report_without_a_measured_stage_has_no_pictures(report: Report, stages: str) -> None:
    rows = () if stages == "none" else (report.stages[1],)
    assert waterfall(report.model_copy(update={"stages": rows})) == ()


@pytest.mark.parametrize("name", ["<b>&amp;\"'", "$x$", "$\\bad$", "a_b^c", "\u00e9", "100 %"])
def test_a_name_is_drawn_letter_by_letter(report: Report, name: str) -> None:
    # Dollars are the plotting library's mark for formulas.
    rows = (report.stages[0].model_copy(update={"name": name}),)
    assert name in _texts(waterfall(report.model_copy(update={"stages": rows}))[1])


def test_labels_of_points_that_lie_close_are_written_apart() -> None:
    from itertools import combinations

    from pipeline.report.chart_labels import label_apart
    from pipeline.report.charts import blank_axes

    points = {(0.36, 99.3): "build", (0.43, 99.3): "export", (1.0, 99.3): "prune, calibrate", (1.1, 99.25): "distill"}
    figure, axes = blank_axes(4.6, 2.6)
    axes.plot([x for x, _ in points], [y for _, y in points], "o")
    axes.set_xlim(0, 4.7)
    axes.set_ylim(98.9, 99.6)

    label_apart(figure, axes, points)

    boxes = [text.get_window_extent() for text in axes.texts]
    assert [text.get_text() for text in axes.texts] == [points[point] for point in sorted(points)]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_labels_without_a_free_place_are_named_below_the_axis() -> None:
    from itertools import combinations

    from pipeline.report.chart_labels import label_apart
    from pipeline.report.charts import blank_axes

    points = {(1 + number / 1000, 50 + number / 1000): f"network number {number}" for number in range(20)}
    figure, axes = blank_axes(4.6, 2.6)
    axes.plot([x for x, _ in points], [y for _, y in points], "o")
    axes.set_xlim(0, 2)
    axes.set_ylim(0, 100)
    axes.set_xlabel("ms")

    label_apart(figure, axes, points)

    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    below = axes.get_xlabel()
    assert below.startswith("ms\nwithout room for a name: network number ")
    written = {text.get_text() for text in axes.texts}
    assert 0 < len(written) < len(points)
    names = " ".join(below.splitlines()[1:]).partition(": ")[2].split(", ")
    assert sorted([*written, *names]) == sorted(points.values())
