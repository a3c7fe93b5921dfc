"""The report as one HTML file that needs nothing beside it, a function of the record alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.report import texts
from pipeline.report.charts import waterfall

if TYPE_CHECKING:
    from pipeline.report.record import Report

__all__ = ["render_html"]

_TEMPLATES = Path(__file__).parent / "templates"


def render_html(report: Report) -> str:
    """The page; everything that came from outside is escaped, nothing is loaded from elsewhere."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        report=report,
        charts=waterfall(report),
        texts=texts,
        style=(_TEMPLATES / "report.css").read_text(encoding="utf-8"),
    )
