"""The report as Markdown: its form, and that no text from outside can change it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pipeline.plain_markdown import line
from pipeline.report.markdown import render_markdown

if TYPE_CHECKING:
    from pipeline.report.record import Report

Golden = Callable[[str, str], None]
Filled = Callable[[str], "Report"]

HOSTILE = {
    "a script": "<script>alert(1)</script>",
    "an element": "<img src=x onerror=alert(1)>",
    "a pipe": "a|b",
    "a pipe behind a backslash": "a\\|b",
    "two backslashes": "a\\\\|b",
    "a line": "a\nb",
    "a paragraph": "a\n\n# b",
    "a carriage return": "a\r\nb",
    "a rare line": "a\u2028b\x0bc\x85d",
    "quotes": "\"a\" 'b' `c`",
    "an entity": "&lt;script&gt;",
    "an image": "![x](https://example.org/p.png)",
    "a link": "[x](javascript:alert(1))",
    "a link behind a backslash": "\\[x](javascript:alert(1))",
    "a reference": "[x][y]",
    "emphasis": "*a* __b__ **c**",
    "an escape sequence": "\x1b[2J\x9b31m",
    "a right-to-left mark": "a\u202eb",
    "a lone backtick": "a ` [x](javascript:alert(1))",
    "backticks in pairs": "`` ` [x](javascript:alert(1)) ` ``",
    "three and one": "``` [x](javascript:alert(1)) `",
    "braces": "{{ report.model }} {% for %}",
}


def _cells(row: str) -> list[str]:
    """The cells of a row as GitHub reads it: a pipe ends a cell unless an odd number of backslashes is before it."""
    return re.findall(r"((?:\\.|[^\\|])*)\|", row.removeprefix("|"))


def _outside_code(text: str) -> str:
    """What Markdown may take for markup: what no backslash is before, and what is not between two backticks."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"\\.", "", text))


def _shape(text: str) -> list[str]:
    """What each line is: the number of cells of a row, a heading, an item, a text, or nothing."""
    marks = {"#": "heading", "-": "item", "": "nothing"}
    return [
        f"{len(_cells(line))} cells" if line.startswith("|") else marks.get(line[:1], "text")
        for line in text.split("\n")
    ]


def test_a_report_is_written_as_it_was(report: Report, golden: Golden) -> None:
    golden("report/report.md", render_markdown(report))


def test_a_judged_report_is_written_as_it_was(gated: Report, golden: Golden) -> None:
    golden("report/judged.md", render_markdown(gated))


def test_the_verdict_comes_first(report: Report) -> None:
    assert render_markdown(report).splitlines()[0] == f"**{report.verdict.sentence}**"


def test_sections_without_content_are_left_out(report: Report) -> None:
    rows = tuple(row.model_copy(update={"notes": ()}) for row in report.stages)
    bare = report.model_copy(
        update={"teachers": (), "quantization": None, "choices": (), "examples": (), "warnings": (), "stages": rows}
    )
    found = [line for line in render_markdown(bare).splitlines() if line.startswith("## ")]
    assert found == ["## What every stage bought and cost", "## Where it was measured"]


def test_every_row_has_as_many_cells_as_its_table_has_columns(gated: Report) -> None:
    for block in render_markdown(gated).split("\n\n"):
        if block.startswith("|"):
            assert len({len(_cells(line)) for line in block.strip().splitlines()}) == 1


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_text_from_outside_changes_the_form_of_the_report(filled: Filled, text: str) -> None:
    assert _shape(render_markdown(filled(text))) == _shape(render_markdown(filled("harmless")))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_text_from_outside_becomes_an_element(filled: Filled, text: str) -> None:
    assert "<" not in render_markdown(filled(text))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_text_from_outside_becomes_a_link_or_steers_a_terminal(filled: Filled, text: str) -> None:
    written, harmless = (_outside_code(render_markdown(filled(one))) for one in (text, "harmless"))
    assert "[" not in written
    assert written.count("*") == harmless.count("*")
    assert written.replace("\n", "").isprintable()


def test_a_name_looks_as_it_was_typed() -> None:
    assert line("mobilenet_v2 (avx512_vnni), 3x3 ~/a.py:net") == "mobilenet_v2 (avx512_vnni), 3x3 ~/a.py:net"
    assert line("see `edgewright preprocess a.py:_net`") == "see `edgewright preprocess a.py:_net`"
    assert line("__x__ [1] a*b \\") == r"\__x_\_ \[1\] a\*b \\"


def test_the_same_record_gives_the_same_text(report: Report) -> None:
    assert render_markdown(report) == render_markdown(report.model_copy(deep=True))
