"""The report as one HTML file: it needs nothing beside it, and no text from outside can change its form."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pipeline.report
from pipeline.report.charts import waterfall
from pipeline.report.html import render_html
from pipeline.report.markdown import render_markdown

if TYPE_CHECKING:
    from pipeline.report.record import Report

Golden = Callable[[str, str], None]
Filled = Callable[[str], "Report"]

HOSTILE = {
    "an element": "<script>alert('a' | \"b\")</script>",
    "the end of ours": "</style></svg></title><!--",
    "attributes": "\" onload=\"a()' onload='a()",
    "entities and braces": '&lt;b&gt; " {{ report }} {% for',
    "lines and pipes": "a\nb|c",
}
"""Short, because a picture whose labels are longer than itself has no room for bars."""

_EMPTY = frozenset({"meta", "link", "img", "br", "hr", "input"})


class _Page(HTMLParser):
    """What a browser would see: elements, their attributes, and the texts in each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.unclosed: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _EMPTY:
            self.unclosed.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.unclosed.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.unclosed:
            self.texts[self.unclosed[-1]][-1] += data


def _skeleton(text: str) -> list[tuple[str, list[str]]]:
    """Every element with the names of its attributes, the pictures left out: their sizes depend on the letters."""
    without = re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)
    return [(tag, sorted(attributes)) for tag, attributes in _Page(without).elements]


def _without_pictures(text: str) -> str:
    """Without the pictures and the style sheet: these have tests of their own, and change with a font."""
    text = re.sub(r"<svg.*?</svg>", "<svg/>", text, flags=re.DOTALL)
    return re.sub(r"<style>.*?</style>", "<style></style>", text, flags=re.DOTALL)


@pytest.fixture(scope="module")
def text(report: Report) -> str:
    """The page of the plain report: drawing its pictures takes a second and more."""
    return render_html(report)


@pytest.fixture(scope="module")
def judged(gated: Report) -> str:
    """The page of the judged report."""
    return render_html(gated)


@pytest.fixture(scope="module")
def hostile(filled: Filled) -> dict[str, str]:
    """The page of a report full of each hostile text."""
    return {name: render_html(filled(text)) for name, text in HOSTILE.items()}


def test_a_report_is_written_as_it_was(text: str, golden: Golden) -> None:
    golden("report/report.html", _without_pictures(text))


@pytest.mark.filterwarnings("ignore:Glyph")  # stages have other names, and pictures no letters for these
def test_no_text_from_outside_steers_a_terminal_or_turns_a_line_around(filled: Filled) -> None:
    written = render_html(filled("\x1b[2J\x9b31m \u202ea"))
    assert written.replace("\n", "").replace("\t", "").replace("\N{NO-BREAK SPACE}", "").isprintable()
    assert r"\x1b[2J\x9b31m \u202ea" in written


def test_a_judged_report_is_written_as_it_was(judged: str, golden: Golden) -> None:
    golden("report/judged.html", _without_pictures(judged))


def test_the_page_is_whole(judged: str) -> None:
    assert judged.startswith("<!doctype html>\n<html lang=")
    assert _Page(judged).unclosed == []


def test_the_verdict_is_the_first_text_of_the_page(report: Report, text: str) -> None:
    page = _Page(text)
    assert page.texts["p"][0] == report.verdict.sentence
    assert page.texts["title"] == ["resnet18 for ort-cpu: ok"]


def test_the_style_is_within_the_page(text: str) -> None:
    style = Path(pipeline.report.__path__[0], "templates", "report.css").read_text(encoding="utf-8")
    assert style.strip() in text


def test_every_picture_has_words_for_those_who_do_not_see_it(gated: Report, judged: str) -> None:
    page = _Page(judged)
    figures = [attributes for tag, attributes in page.elements if tag == "figure"]
    assert len(figures) == [tag for tag, _ in page.elements].count("svg")
    assert {one["role"] for one in figures} == {"img"}
    assert all(re.search(r"[a-z]{3}.*\d", one["aria-label"] or "") for one in figures)
    assert {chart.words for chart in waterfall(gated)} <= {one["aria-label"] for one in figures}


def test_nothing_is_loaded_from_elsewhere(judged: str) -> None:
    page = _Page(judged)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & {
        tag for tag, _ in page.elements
    }
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            if name.rpartition(":")[2] in {"src", "href", "srcset", "data", "action", "poster"}:
                within = "data:image/jpeg;base64," if tag == "image" else "#"
                assert (value or "").startswith(within), (tag, name, value)
    assert [url for url in re.findall(r"url\(\s*['\"]?([^)]*)\)", judged) if not url.startswith("#")] == []
    # What names a vocabulary of XML is no address: nobody goes there.
    names = {name for _, attributes in page.elements for name, value in attributes.items() if "://" in (value or "")}
    assert {name for name in names if not name.startswith("xmlns") and name != "rdf:resource"} == set()
    assert [told for texts in page.texts.values() for told in texts if "://" in told] == []
    assert "@import" not in judged


def test_no_text_from_outside_changes_the_form_of_the_page(filled: Filled, hostile: dict[str, str]) -> None:
    harmless = _skeleton(render_html(filled("harmless")))
    assert [name for name, written in hostile.items() if _skeleton(written) != harmless] == []


@pytest.mark.parametrize("name", ["an element", "attributes", "entities and braces"])
def test_a_text_from_outside_is_shown_letter_by_letter(hostile: dict[str, str], name: str) -> None:
    page, text = _Page(hostile[name]), HOSTILE[name]
    assert page.texts["title"] == [f"{text} for {text}: ok"]
    assert page.texts["p"][0] == text
    assert text in page.texts["td"]
    assert text in page.texts["text"]  # in the pictures
    assert text in page.texts["dd"]


def test_sections_without_content_are_left_out_as_in_markdown(report: Report, text: str) -> None:
    rows = tuple(row.model_copy(update={"notes": ()}) for row in report.stages)
    bare = report.model_copy(
        update={"teachers": (), "quantization": None, "examples": (), "warnings": (), "stages": rows}
    )
    for told, written in ((report, text), (bare, render_html(bare))):
        headings = [line.removeprefix("## ") for line in render_markdown(told).splitlines() if line.startswith("## ")]
        assert [heading.strip() for heading in _Page(written).texts["h2"]] == headings


def test_the_same_record_gives_the_same_text(report: Report, text: str) -> None:
    assert text == render_html(report.model_copy(deep=True))
