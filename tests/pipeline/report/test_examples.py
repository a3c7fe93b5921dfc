"""Test images in the report: truth, baseline and shipped side by side, and the same in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from pydantic import ValidationError

from pipeline.report.example_charts import examples
from pipeline.report.example_record import ExampleEntry, MarkEntry
from pipeline.report.example_texts import example_rows
from pipeline.report.html import render_html

if TYPE_CHECKING:
    from pipeline.report.record import Report

SVG = "{http://www.w3.org/2000/svg}"


def _drawn(report: Report) -> ET.Element:
    (chart,) = examples(report)
    return ET.fromstring(chart.svg)  # noqa: S314 - written by us


def test_an_image_is_held_once_and_shown_three_times(report: Report) -> None:
    svg = _drawn(report)
    (image,) = svg.iter(f"{SVG}image")

    assert image.get("href") == "data:image/jpeg;base64,/9j/2Q=="
    assert [one.get("href") for one in svg.iter(f"{SVG}use")] == [f"#{image.get('id')}"] * 3
    assert render_html(report).count("/9j/2Q==") == 1


def test_every_box_has_its_class_and_score_and_lies_where_it_is(report: Report) -> None:
    truth, baseline, shipped = _drawn(report).findall(f"{SVG}g")
    texts = [[one.text for one in panel.iter(f"{SVG}text")] for panel in (truth, baseline, shipped)]

    assert texts == [["cat"], ["cat 97 %"], ["dog 55 %"]]
    outlines = [[one for one in panel.iter(f"{SVG}rect") if one.get("stroke-width") == "2"] for panel in (truth,)]
    ((box,),) = outlines
    assert [float(box.get(name) or "nan") for name in ("x", "y", "width", "height")] == [
        5,
        10,
        95,
        190,
    ]  # of 320 in 640


def test_right_and_wrong_differ_in_more_than_colour(report: Report) -> None:
    _, baseline, shipped = _drawn(report).findall(f"{SVG}g")
    (right,), (wrong,) = (
        [one for one in panel.iter(f"{SVG}rect") if one.get("stroke-width") == "2"] for panel in (baseline, shipped)
    )

    assert right.get("stroke") != wrong.get("stroke")
    assert (right.get("stroke-dasharray"), bool(wrong.get("stroke-dasharray"))) == (None, True)


def test_what_reaches_beyond_the_image_is_cut(report: Report) -> None:
    panel = _drawn(report).findall(f"{SVG}g")[2]
    for one in panel.iter(f"{SVG}rect"):
        x, y, width, height = (float(one.get(name) or "nan") for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + width <= 320.1
        assert 0 <= y <= y + height <= 240.1


def test_the_words_say_what_the_picture_shows(report: Report) -> None:
    assert example_rows(report) == [("val/0003.png", "cat", "cat 97 %", "(dog 55 %)")]
    (chart,) = examples(report)
    assert chart.words == "image: val/0003.png; truth: cat; baseline: cat 97 %; shipped: (dog 55 %)"


@pytest.mark.parametrize("name", ["a" * 500, "\x00\x1b[31m", "</svg><script>", "äöü 漢字"])
def test_any_name_gives_a_picture(report: Report, name: str) -> None:
    (example,) = report.examples
    mark = MarkEntry(label=name, box=(0, 0, 5, 5))
    told = example.model_copy(update={"image": name, "truth": (mark,)})
    svg = _drawn(report.model_copy(update={"examples": (told,)}))

    texts = [one.text or "" for one in svg.iter(f"{SVG}text")]
    assert all(text.isprintable() and len(text) <= 160 for text in texts)


@pytest.mark.parametrize("picture", ['"/><script>', "http://elsewhere/x.jpg", "a b"])
def test_a_picture_that_is_no_base64_is_refused(picture: str) -> None:
    with pytest.raises(ValidationError, match="picture"):
        ExampleEntry(image="a", size=(1, 1), picture=picture, alike=True, truth=(), baseline=(), shipped=())


def test_a_narrow_image_has_room_for_its_headings(report: Report) -> None:
    (example,) = report.examples
    svg = _drawn(report.model_copy(update={"examples": (example.model_copy(update={"size": (10, 1000)}),)}))
    _, _, width, height = map(float, re.findall(r"[\d.]+", svg.get("viewBox") or ""))

    assert (width > 450, 320 < height < 400) == (True, True)
