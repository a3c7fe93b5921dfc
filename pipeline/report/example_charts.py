"""Test images with what is on them and what was found, as pictures: truth, baseline and shipped side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from pipeline.report.charts import Chart
from pipeline.report.example_texts import EXAMPLE_COLUMNS, example_cells, mark_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.report.example_record import ExampleEntry, MarkEntry
    from pipeline.report.record import Report

__all__ = ["examples"]

_SIDE, _GAP, _HEAD = 320.0, 12.0, 40.0
_LETTER, _LINE = 6.4, 13.0
"""Width of a letter of the labels, about, and height of their line."""
_LONGEST = 180.0
"""Width of a label."""
_RIGHT, _WRONG, _NEITHER, _INK, _MUTED = "#0072b2", "#d55e00", "#000000", "#1d2733", "#66717f"
"""Blue and vermilion of Okabe and Ito's palette, which colour-blind people tell apart; what is wrong is dashed too."""


def examples(report: Report) -> tuple[Chart, ...]:
    """A picture an image."""
    return tuple(_chart(number, example) for number, example in enumerate(report.examples))


def _chart(number: int, example: ExampleEntry) -> Chart:
    scale = _SIDE / max(example.size)
    wide, high = (scale * side for side in example.size)
    room = max(wide, _SIDE / 2)  # so that what stands above a narrow one can be read
    svg = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {3 * room + 2 * _GAP:.1f} {_HEAD + high:.1f}",
            "font-size": "11",
        },
    )
    title = example.image + ("" if example.alike else " (the two found different things)")
    _text(svg, 0, _LINE, _cut(title, 3 * room + 2 * _GAP), _INK, weight="600")
    picture = {"id": f"example-{number}", "width": f"{wide:.1f}", "height": f"{high:.1f}"}
    picture |= {"href": f"data:image/jpeg;base64,{example.picture}", "preserveAspectRatio": "none"}
    ET.SubElement(ET.SubElement(svg, "defs"), "image", picture)
    panels = zip(EXAMPLE_COLUMNS[1:], (example.truth, example.baseline, example.shipped), strict=True)
    for place, (name, marks) in enumerate(panels):
        left = place * (room + _GAP)
        _text(svg, left, 2.5 * _LINE, name, _MUTED)
        panel = ET.SubElement(svg, "g", {"transform": f"translate({left:.1f} {_HEAD:.1f})"})
        ET.SubElement(panel, "use", {"href": f"#example-{number}"})
        _draw(panel, marks, scale, (wide, high))
    words = "; ".join(f"{column}: {cell}" for column, cell in zip(EXAMPLE_COLUMNS, example_cells(example), strict=True))
    return Chart(title=title, svg=ET.tostring(svg, encoding="unicode"), words=words)


def _draw(panel: ET.Element, marks: Sequence[MarkEntry], scale: float, sides: tuple[float, float]) -> None:
    """The boxes, the likeliest on top, each on a white line that sets it off from any image."""
    for mark in reversed(marks):
        left, top, right, bottom = (
            min(max(scale * value, 0.0), side) for value, side in zip(mark.box, sides * 2, strict=True)
        )
        colour = _NEITHER if mark.right is None else _RIGHT if mark.right else _WRONG
        place = {"x": f"{left:.1f}", "y": f"{top:.1f}", "width": f"{max(0.0, right - left):.1f}"}
        place["height"] = f"{max(0.0, bottom - top):.1f}"
        ET.SubElement(panel, "rect", {**place, "fill": "none", "stroke": "#fff", "stroke-width": "4"})
        dashes = {"stroke-dasharray": "6 3"} if mark.right is False else {}
        ET.SubElement(panel, "rect", {**place, "fill": "none", "stroke": colour, "stroke-width": "2", **dashes})
        score = mark_text(mark)[len(mark.label) :]
        text = _cut(mark.label, min(sides[0], _LONGEST) - _LETTER * len(score)) + score
        width = _LETTER * len(text) + 4
        x = max(0.0, min(left, sides[0] - width))
        y = top - _LINE if top >= _LINE else top
        ground = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{width:.1f}", "height": f"{_LINE:.1f}", "fill": colour}
        ET.SubElement(panel, "rect", ground)
        _text(panel, x + 2, y + _LINE - 3, text, "#fff")


def _cut(text: str, width: float) -> str:
    """As much of a text as there is room for."""
    most = max(4, int(width / _LETTER))
    return text if len(text) <= most else text[: most - 1] + "…"


def _text(parent: ET.Element, x: float, y: float, text: str, colour: str, *, weight: str = "400") -> None:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "fill": colour, "font-weight": weight}
    ET.SubElement(parent, "text", place).text = "".join(letter if letter.isprintable() else "�" for letter in text)
