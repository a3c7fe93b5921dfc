"""From how a cell ended to its entry in the fleet's report."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pipeline.report.fleet_record import CellFigures, FleetCell
from pipeline.report.render import read_report

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.fleet.cell_run import CellEnd
    from pipeline.fleet.cells import Cell
    from pipeline.report import Report

__all__ = ["ended", "waiting"]


def waiting(cell: Cell) -> FleetCell:
    """Of a cell whose end is not known."""
    return FleetCell(name=cell.name, status="waiting", **asdict(cell.axes))


def ended(cell: Cell, end: CellEnd, tries: int, out: Path) -> FleetCell:
    """Of a cell that has ended; what it made lies in its place below ``out``.

    Raises:
        IntegrityError: when its report is none.
    """
    common = {**asdict(cell.axes), "name": cell.name, "tries": tries, "wall_s": end.wall_s, "exit_code": end.exit_code}
    if end.error is not None:
        return FleetCell(status="failed", error=end.error, ran=end.ran, **common)
    return FleetCell(
        status="done",
        ran=end.ran,
        report=str(cell.folder / "report.html"),
        figures=_figures(read_report(out / cell.folder)),
        **common,
    )


def _figures(report: Report) -> CellFigures:
    before, shipped = report.stages[0], report.stages[-1]
    return CellFigures(
        data=report.data,
        precision=report.verdict.precision,
        verdict=report.verdict.status,
        sentence=report.verdict.sentence,
        p50_s=shipped.latency_s.p50,
        p90_s=shipped.latency_s.p90,
        baseline_p50_s=before.latency_s.p50,
        size_bytes=shipped.size_bytes,
        memory_peak_bytes=shipped.memory_bytes.peak,
        accuracy=shipped.accuracy,
        baseline_accuracy=before.accuracy.value,
        speedup=report.verdict.speedup,
        speedup_low=report.verdict.speedup_low,
        speedup_high=report.verdict.speedup_high,
        bundle_sha256=report.bundle.sha256,
        machine=f"{report.machine.cpu}, {report.machine.cores} cores",
        machine_class=report.machine.class_,
        notes=(*report.doubts, *report.warnings),
    )
