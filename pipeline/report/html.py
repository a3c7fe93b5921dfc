"""The report as one HTML file that needs nothing beside it, a function of the record alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import printable
from pipeline.report import choice_texts, example_texts, gate_charts, gate_texts, texts
from pipeline.report.charts import layer_damages, waterfall
from pipeline.report.choice_charts import choice_front
from pipeline.report.choice_record import SHIPPED
from pipeline.report.example_charts import examples
from pipeline.report.training_charts import learning_curves

if TYPE_CHECKING:
    from pipeline.report.charts import Chart
    from pipeline.report.choice_record import MeasuredChoice
    from pipeline.report.comparison import Comparison
    from pipeline.report.record import Report

__all__ = ["page", "render_html"]

_TEMPLATES = Path(__file__).parent / "templates"


def render_html(report: Report) -> str:
    """The page; everything that came from outside is escaped, nothing is loaded from elsewhere."""
    return page(
        "report.html.j2",
        report=report,
        charts=waterfall(report),
        damages=layer_damages(report),
        curves=learning_curves(report),
        examples=examples(report),
        choices=[(choice, _present(choice_front(choice, _limit_of(choice, report)))) for choice in report.choices],
        more_charts=_present(gate_charts.memory_phases(report.stages), gate_charts.pareto(report.stages)),
        gates=[(found, _gate_charts(found)) for found in (report.gate, report.best) if found is not None],
        history=gate_charts.history(report.history),
        texts=texts,
        choice_texts=choice_texts,
        example_texts=example_texts,
        gate_texts=gate_texts,
    )


def _limit_of(choice: MeasuredChoice, report: Report) -> float | None:
    """The latency that was asked for, seconds, where it is one of these networks'.

    A fraction is that of the unpruned network in the precision that ships, and what was planned before was in another.
    """
    goal = report.goal
    if goal is None or goal.limit_s is None:
        return None
    of_fraction = "latency" in goal.relative
    return None if of_fraction and not any(one.label == SHIPPED for one in choice.tried) else goal.limit_s


def page(template: str, **values: object) -> str:
    """A template filled in; everything that came from outside is escaped, nothing is loaded from elsewhere."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    return printable(environment.get_template(template).render(style=style, **values))


def _gate_charts(found: Comparison) -> list[Chart]:
    return _present(gate_charts.forest(found), gate_charts.process_dots(found), gate_charts.run_order(found))


def _present(*charts: Chart | None) -> list[Chart]:
    return [chart for chart in charts if chart is not None]
