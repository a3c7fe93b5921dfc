"""From how a cell ended to its entry in the fleet's report."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from exporters.device.verify import MANIFEST
from pipeline.artifact import parse_json, sha256_of_json
from pipeline.fleet.cells import Axes
from pipeline.recipe.places import told_without_home
from pipeline.report.fleet_record import CellFigures, FleetCell, FleetReport
from pipeline.report.render import read_report

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.fleet.cell_run import CellEnd
    from pipeline.fleet.cells import Cell
    from pipeline.report.record import Report

__all__ = ["earlier", "ended", "waiting"]


def earlier(out: Path) -> dict[Axes, FleetCell]:
    """What an earlier run has said of its cells; nothing where there was none whose report can be read."""
    try:
        report = FleetReport.model_validate_json((out / "fleet.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return {Axes(**{axis.name: getattr(cell, axis.name) for axis in fields(Axes)}): cell for cell in report.cells}


def waiting(cell: Cell, before: Mapping[Axes, FleetCell], out: Path) -> FleetCell:
    """Of a cell whose end is not known: what lies there of the same recipe is told until it is.

    Args:
        cell: Which.
        before: As of :func:`earlier`.
        out: Folder of all results.
    """
    entry = FleetCell(status="waiting", **_common(cell))
    there = before.get(cell.axes)
    if there is None or there.asked_sha256 != entry.asked_sha256 or not (out / _report(cell)).is_file():
        return entry
    return entry.model_copy(update={"report": there.report, "figures": there.figures})


def ended(cell: Cell, end: CellEnd, tries: int, out: Path) -> FleetCell:
    """Of a cell that has ended; what it made lies in its place below ``out``.

    Raises:
        IntegrityError: when its report is none.
    """
    common = {**_common(cell), "tries": tries, "wall_s": end.wall_s, "exit_code": end.exit_code}
    if end.error is not None:
        return FleetCell(status="failed", error=told_without_home(end.error), ran=end.ran, **common)
    return FleetCell(
        status="done",
        ran=end.ran,
        report=_report(cell),
        figures=_figures(out / cell.folder),
        **common,
    )


def _common(cell: Cell) -> dict[str, Any]:
    asked = sha256_of_json(cell.recipe.model_dump(mode="json", by_alias=True))
    return {**asdict(cell.axes), "name": cell.name, "asked_sha256": asked}


def _report(cell: Cell) -> str:
    return str(cell.folder / "report.html")


def _status(report: Report) -> str:
    """What counts against a cell: a gate says of a missed goal alone that it was missed before, too."""
    verdict = report.verdict
    return "missed" if verdict.missed and verdict.status != "regressed" else verdict.status


def _figures(folder: Path) -> CellFigures:
    report = read_report(folder)
    before, shipped = report.stages[0], report.stages[-1]
    manifest = parse_json((folder / report.bundle.path / MANIFEST).read_bytes())
    return CellFigures(
        data=report.data,
        test_images=manifest["provenance"]["data"]["test"],
        precision=report.verdict.precision,
        verdict=_status(report),
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
