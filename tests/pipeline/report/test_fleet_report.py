"""A fleet's page compares all cells, and what may be compared only."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from pipeline.report.fleet_pages import render_fleet_html, write_fleet_reports
from pipeline.report.fleet_record import CellFigures, FleetCell, FleetReport
from pipeline.report.fleet_texts import CELL_COLUMNS, Group, best, cell_cells, failures, groups, headline, matrix, notes
from pipeline.report.record import AccuracyFigure

_VOID = {"meta", "br"}


def _figures(p50_s: float | None, accuracy: float, **values: Any) -> CellFigures:  # noqa: ANN401 - fields
    plain: dict[str, Any] = {
        "data": "digits", "test_images": "e" * 64, "precision": "int8", "verdict": "ok", "sentence": "OK int8",
        "p50_s": p50_s, "p90_s": p50_s and 1.2 * p50_s, "size_bytes": 11_000_000, "memory_peak_bytes": 90_000_000,
        "accuracy": AccuracyFigure(metric="top1", value=accuracy, n=449), "speedup": 4.03,
        "speedup_low": 3.91, "speedup_high": 4.13, "bundle_sha256": "b" * 64,
        "machine": "Some CPU, 8 cores", "machine_class": "0123456789abcdef",
    }  # fmt: skip
    return CellFigures(**{**plain, **values})


def _cell(model: str, target: str, figures: CellFigures | None = None, **values: Any) -> FleetCell:  # noqa: ANN401
    done = {"status": "done", "exit_code": 0, "report": f"cells/{model}/{target}/report.html"}
    return FleetCell(
        name=f"{model} {target}", model=model, target=target, asked_sha256="a" * 64,
        **{
            "data": "digits", "recipe": "quick", "device": "here", "wall_s": 61.0, "figures": figures,
            **(done if figures else {}), **values,
        },
    )  # fmt: skip


@pytest.fixture
def fleet() -> FleetReport:
    """Two models on two targets: one failed, one is yet to come."""
    error = "resnet18: the disk is full\n  got: 3 MiB free\n  fix: make room"
    return FleetReport(
        edgewright="0.1.0",
        fleet="nightly",
        cells=(
            _cell("resnet18", "ort-cpu", _figures(0.0012, 0.97, notes=("the machine was busy",))),
            _cell("resnet18", "openvino", status="failed", exit_code=7, error=error),
            _cell("resnet50", "ort-cpu", _figures(0.0031, 0.99, notes=("the machine was busy",))),
            _cell("resnet50", "openvino", status="waiting", wall_s=None),
        ),
    )


class _Balance(HTMLParser):
    """Every element is closed where it should be; remembers the texts and the links."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())


def _read(page: str) -> _Balance:
    found = _Balance()
    found.feed(re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL))
    assert found.open == []
    return found


def test_the_page_says_first_how_many_are_done(fleet: FleetReport) -> None:
    assert headline(fleet) == "2 of 4 cells done, 1 failed, 1 not yet: the same command goes on from here"
    assert _read(render_fleet_html(fleet)).texts[2] == headline(fleet)


def test_cells_that_fell_short_are_counted_and_make_no_green_page(fleet: FleetReport) -> None:
    well = fleet.model_copy(update={"cells": (fleet.cells[0], fleet.cells[2])})
    verdicts = [
        _cell("resnet18", verdict, _figures(0.001, 0.5, verdict=verdict)) for verdict in ("missed", "regressed")
    ]
    short = fleet.model_copy(update={"cells": (fleet.cells[0], *verdicts)})

    assert headline(short) == "3 of 3 cells done, 2 of them fell short"
    assert ['<p class="verdict ok">' in render_fleet_html(one) for one in (well, short)] == [True, False]


def test_what_failed_stands_with_its_reason(fleet: FleetReport) -> None:
    assert failures(fleet) == [
        ("resnet18 openvino", "7", "resnet18: the disk is full\n  got: 3 MiB free\n  fix: make room")
    ]
    texts = _read(render_fleet_html(fleet)).texts
    assert texts.index("What failed, and why") < texts.index("Accuracy against latency")
    assert any("3 MiB free" in text for text in texts)


def test_a_cell_with_a_bundle_that_fell_short_is_told_too(fleet: FleetReport) -> None:
    missed = fleet.cells[0].model_copy(update={"exit_code": 8})
    told = failures(fleet.model_copy(update={"cells": (missed,)}))
    assert told == [("resnet18 ort-cpu", "8", "the reason is in its own report")]


def test_the_matrix_has_a_row_for_what_is_deployed_and_a_column_for_where(fleet: FleetReport) -> None:
    found = matrix(fleet)
    assert found.columns == ("ort-cpu", "openvino")
    assert [name for name, _ in found.rows] == ["resnet18", "resnet50"]
    assert [[cell and cell.name for cell in cells] for _, cells in found.rows] == [
        ["resnet18 ort-cpu", "resnet18 openvino"],
        ["resnet50 ort-cpu", "resnet50 openvino"],
    ]


def test_a_cell_that_was_left_out_is_an_empty_place(fleet: FleetReport) -> None:
    found = matrix(fleet.model_copy(update={"cells": fleet.cells[:3]}))
    assert found.rows[1][1] == (fleet.cells[2], None)


def test_names_with_blanks_are_rows_of_their_own(fleet: FleetReport) -> None:
    axes = [("net", "small half"), ("net small", "half")]
    cells = tuple(_cell(model, "ort-cpu", recipe=recipe, status="waiting") for model, recipe in axes)
    found = matrix(fleet.model_copy(update={"cells": cells}))
    assert found.rows == (("net small half", (cells[0],)), ("net small half", (cells[1],)))


def test_every_report_is_led_to_and_nothing_else_is_loaded(fleet: FleetReport) -> None:
    assert _read(render_fleet_html(fleet)).links == [
        "cells/resnet18/ort-cpu/report.html",
        "cells/resnet50/ort-cpu/report.html",
    ]


def test_every_cell_has_a_text_for_every_column(fleet: FleetReport) -> None:
    rows = [cell_cells(cell) for cell in fleet.cells]
    assert {len(row) for row in rows} == {len(CELL_COLUMNS)}
    assert rows[0] == (
        "resnet18 ort-cpu", "ok", "int8", "1.20 ms", "1.44 ms", "4.03x faster (3.91 to 4.13)", "11.0 MB",
        "90.0 MB", "97.00 %", "1 min 1 s",
    )  # fmt: skip
    assert (rows[1][1], rows[1][3], rows[3][1]) == ("failed (7)", "-", "not yet")


def test_only_figures_of_one_device_machine_and_data_set_are_one_picture() -> None:
    cells = (
        _cell("a", "ort-cpu", _figures(0.001, 0.9)),
        _cell("b", "ort-cpu", _figures(0.002, 0.9)),
        _cell("c", "ort-cpu", _figures(0.003, 0.9, machine_class="f" * 16, machine="Other CPU, 4 cores")),
        _cell("d", "ort-cpu", _figures(0.004, 0.9, data="photos")),
        _cell("e", "ort-cpu", _figures(0.005, 0.9), device="pi"),
        _cell("f", "ort-cpu", _figures(None, 0.9)),
    )
    found = groups(FleetReport(edgewright="0.1.0", fleet="f", cells=cells))
    assert [(group.title, [cell.model for cell in group.cells]) for group in found] == [
        ("digits on Some CPU, 8 cores", ["a", "b"]),
        ("digits on Other CPU, 4 cores", ["c"]),
        ("photos on Some CPU, 8 cores", ["d"]),
        ("digits on pi (Some CPU, 8 cores)", ["e"]),
    ]


def test_figures_of_other_test_images_are_another_picture_named_by_the_recipe() -> None:
    other = "f" * 64
    cells = (
        _cell("a", "ort-cpu", _figures(0.001, 0.9)),
        _cell("b", "ort-cpu", _figures(0.002, 0.9), recipe="smaller"),
        _cell("a", "ort-cpu", _figures(0.003, 0.9, test_images=other), recipe="half"),
    )
    found = groups(FleetReport(edgewright="0.1.0", fleet="f", cells=cells))
    assert [(group.title, [cell.recipe for cell in group.cells]) for group in found] == [
        ("digits (quick, smaller) on Some CPU, 8 cores", ["quick", "smaller"]),
        ("digits (half) on Some CPU, 8 cores", ["half"]),
    ]


def test_folders_of_one_name_are_pictures_of_their_own_named_as_in_the_file() -> None:
    cells = tuple(_cell("a", "ort-cpu", _figures(0.001, 0.9, data="photos"), data=data) for data in ("a/photos", "b"))
    found = groups(FleetReport(edgewright="0.1.0", fleet="f", cells=cells))
    assert [group.title for group in found] == ["a/photos on Some CPU, 8 cores", "b on Some CPU, 8 cores"]


def test_results_of_an_earlier_run_are_told_as_such(fleet: FleetReport) -> None:
    before = _cell("vgg16", "ort-cpu", _figures(0.05, 0.98, verdict="missed"), status="waiting", exit_code=None)
    found = fleet.model_copy(update={"cells": (*fleet.cells, before)})
    assert headline(found) == (
        "2 of 5 cells done, 1 failed, 2 not yet (1 with an earlier run's results): the same command goes on from here"
    )
    assert cell_cells(before)[1:4] == ("not yet, missed before", "int8", "50.0 ms")
    assert notes(found)[-1] == (
        "vgg16 ort-cpu",
        "figures of an earlier run; this one has not come to its end",
    )
    assert _read(render_fleet_html(found)).links[-1] == "cells/vgg16/ort-cpu/report.html"


def test_the_fastest_and_the_most_accurate_are_told_or_the_one_that_is_both(fleet: FleetReport) -> None:
    (group,) = groups(fleet)
    assert best(group) == (
        "digits on Some CPU, 8 cores: fastest is resnet18 ort-cpu (1.20 ms, 97.00 %, int8), "
        "most accurate resnet50 ort-cpu (3.10 ms, 99.00 %, int8)"
    )
    alone = Group(title="a group", cells=group.cells[:1])
    assert best(alone) == "a group: fastest and most accurate is resnet18 ort-cpu (1.20 ms, 97.00 %, int8)"


def test_the_picture_names_every_point_and_those_that_none_beats(fleet: FleetReport) -> None:
    slow = _cell("vgg16", "ort-cpu", _figures(0.05, 0.98))
    page = render_fleet_html(fleet.model_copy(update={"cells": (*fleet.cells, slow)}))
    (picture,) = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    written = {text.text for text in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")}  # noqa: S314 - ours
    assert {"resnet18 ort-cpu", "resnet50 ort-cpu", "vgg16 ort-cpu", "digits on Some CPU, 8 cores"} <= written
    (words,) = re.findall(r'aria-label="([^"]*)"', page)
    assert words.endswith("; beaten by none: resnet18 ort-cpu, resnet50 ort-cpu")


def test_a_note_is_told_once_with_the_cells_it_is_about(fleet: FleetReport) -> None:
    assert notes(fleet) == [("resnet18 ort-cpu, resnet50 ort-cpu", "the machine was busy")]


def test_notes_that_differ_in_one_percentage_are_one() -> None:
    busy = "other programs took {} % of the cores' time"
    cells = (
        _cell("a", "ort-cpu", _figures(0.001, 0.9, notes=(busy.format(35), busy.format(99), "{} of 10.24 %"))),
        _cell("b", "ort-cpu", _figures(0.001, 0.9, notes=(busy.format(4), "5 % of 10 %", "{} of 10.25 %"))),
    )
    found = notes(FleetReport(edgewright="0.1.0", fleet="f", cells=cells))
    assert found[:3] == [
        ("", busy.format("4 to 99")),
        ("a ort-cpu", "{} of 10.24 %"),
        ("b ort-cpu", "5 % of 10 %"),
    ]


def test_what_others_typed_is_escaped(fleet: FleetReport) -> None:
    bad = "<script>alert(1)</script>"
    cells = (
        _cell(bad, bad, _figures(0.001, 0.9, data=bad, machine=bad, sentence=bad, notes=(bad,))),
        _cell("b", bad, _figures(0.002, 0.95, data=bad, machine=bad)),
        _cell("c", bad, status="failed", exit_code=2, error=bad),
    )
    page = render_fleet_html(FleetReport(edgewright=bad, fleet=bad, cells=cells))
    assert bad not in page
    _read(page)
    for picture in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ET.fromstring(picture)  # noqa: S314 - ours


def test_what_is_written_is_read_as_it_was(fleet: FleetReport, tmp_path: Path) -> None:
    json_file, html_file = write_fleet_reports(fleet, tmp_path)
    assert FleetReport.model_validate_json(json_file.read_bytes()) == fleet
    assert html_file.read_text(encoding="utf-8").startswith("<!doctype html>")
