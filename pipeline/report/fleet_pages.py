"""Writing a fleet's report: ``fleet.json``, and the page that people read, made from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.report import fleet_texts
from pipeline.report.fleet_charts import fleet_front
from pipeline.report.html import page
from pipeline.store import room_for, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.report.fleet_record import FleetReport

__all__ = ["render_fleet_html", "write_fleet_reports"]


def render_fleet_html(report: FleetReport) -> str:
    """The page; everything that came from outside is escaped, nothing is loaded from elsewhere."""
    failed = fleet_texts.failures(report)
    open_ = report.count("waiting") or fleet_texts.fell_short(report)
    targets = list(dict.fromkeys(cell.target for cell in report.cells))
    return page(
        "fleet.html.j2",
        report=report,
        texts=fleet_texts,
        status="missed" if failed else "" if open_ else "ok",
        fronts=[fleet_front(group, targets) for group in fleet_texts.groups(report) if len(group.cells) > 1],
        matrix=fleet_texts.matrix(report),
        rows=[fleet_texts.cell_cells(cell) for cell in report.cells],
    )


def write_fleet_reports(report: FleetReport, folder: Path) -> tuple[Path, ...]:
    """Write ``fleet.json`` and ``fleet.html`` into a folder; returns their paths.

    Raises:
        ResourceError: when the disk is full; what stood there before may be that of an earlier moment.
    """
    texts = {
        "fleet.json": report.model_dump_json(by_alias=True, indent=1) + "\n",
        "fleet.html": render_fleet_html(report),
    }
    with room_for("the fleet's page", folder, sum(len(text.encode()) for text in texts.values())):
        for name, text in texts.items():
            write_atomically(folder / name, text)
    return tuple(folder / name for name in texts)
