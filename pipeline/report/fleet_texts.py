"""What a fleet's page says, as plain texts: the same in the terminal and in HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.report import figures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.report.fleet_record import FleetCell, FleetReport

__all__ = [
    "CELL_COLUMNS",
    "Group",
    "Matrix",
    "best",
    "cell_brief",
    "cell_cells",
    "failures",
    "fell_short",
    "groups",
    "headline",
    "matrix",
    "notes",
]  # fmt: skip

CELL_COLUMNS = (
    "cell", "", "precision", "p50", "p90", "against its baseline", "size", "memory peak", "accuracy", "took",
)  # fmt: skip
"""The second column says how it ended."""

_SHORT = frozenset({"missed", "regressed"})
_AXES = ("model", "data", "recipe", "target", "device")


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Cells whose figures may be compared: one device, one class of machine, one data set."""

    title: str
    cells: tuple[FleetCell, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Matrix:
    """All cells by what was deployed (a row) and where it runs (a column); None where a cell was left out."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[FleetCell | None, ...]], ...]


def headline(report: FleetReport) -> str:
    """One line: how many cells there are of each kind."""
    done, failed, waiting = map(report.count, ("done", "failed", "waiting"))
    told = [f"{done} of {len(report.cells)} cells done"]
    told += [f"{short} of them fell short"] if (short := fell_short(report)) else []
    told += [f"{failed} failed"] if failed else []
    told += [f"{waiting} not yet: the same command goes on from here"] if waiting else []
    return ", ".join(told)


def fell_short(report: FleetReport) -> int:
    """How many cells have a bundle that missed its goals, or is worse than what was accepted."""
    return sum(cell.figures is not None and cell.figures.verdict in _SHORT for cell in report.cells)


def cell_cells(cell: FleetCell) -> tuple[str, ...]:
    """One cell, a text for each of :data:`CELL_COLUMNS`."""
    found = cell.figures
    if found is None:
        return (cell.name, _status(cell), *["-"] * (len(CELL_COLUMNS) - 3), figures.seconds(cell.wall_s))
    return (
        cell.name,
        found.verdict,
        found.precision,
        figures.milliseconds(found.p50_s),
        figures.milliseconds(found.p90_s),
        "-" if found.speedup is None else figures.speed_brief(found.speedup, found.speedup_low, found.speedup_high),
        figures.megabytes(found.size_bytes),
        figures.megabytes(found.memory_peak_bytes),
        figures.percent(found.accuracy.value),
        figures.seconds(cell.wall_s),
    )


def _status(cell: FleetCell) -> str:
    return f"failed ({cell.exit_code})" if cell.status == "failed" else "not yet"


def cell_brief(cell: FleetCell) -> str:
    """What a cell of the matrix says."""
    found = cell.figures
    if found is None:
        return _status(cell)
    return f"{figures.milliseconds(found.p50_s)}, {figures.percent(found.accuracy.value)}, {found.precision}"


def matrix(report: FleetReport) -> Matrix:
    """What was deployed against where it runs; an axis without a choice is not named."""
    choices = {axis: len({getattr(cell, axis) for cell in report.cells}) for axis in _AXES}

    def told(cell: FleetCell, first: str, *others: str) -> str:
        return " ".join(getattr(cell, axis) for axis in (first, *(one for one in others if choices[one] > 1)))

    places = {(told(cell, "model", "data", "recipe"), told(cell, "target", "device")): cell for cell in report.cells}
    rows = dict.fromkeys(row for row, _ in places)
    columns = tuple(dict.fromkeys(column for _, column in places))
    return Matrix(
        columns=columns,
        rows=tuple((row, tuple(places.get((row, column)) for column in columns)) for row in rows),
    )


def groups(report: FleetReport) -> tuple[Group, ...]:
    """The measured cells, by what may be compared with what."""
    found: dict[tuple[str, str, str], list[FleetCell]] = {}
    for cell in report.cells:
        if cell.figures is not None and cell.figures.p50_s is not None and cell.figures.accuracy.value is not None:
            found.setdefault((cell.device, cell.figures.machine_class, cell.figures.data), []).append(cell)
    return tuple(Group(title=_title(cells), cells=tuple(cells)) for cells in found.values())


def _title(cells: Sequence[FleetCell]) -> str:
    first = cells[0]
    assert first.figures is not None  # noqa: S101 - as they were chosen
    place = first.figures.machine if first.device == "here" else f"{first.device} ({first.figures.machine})"
    return f"{first.figures.data} on {place}"


def best(group: Group) -> str:
    """The fastest and the most accurate of a group that held its goals, which may be one."""
    measured = [(cell, cell.figures) for cell in group.cells if cell.figures is not None]
    measured = [one for one in measured if one[1].verdict != "missed"] or measured
    fastest, _ = min(measured, key=lambda one: (one[1].p50_s or 0.0, -(one[1].accuracy.value or 0.0)))
    finest, _ = max(measured, key=lambda one: (one[1].accuracy.value or 0.0, -(one[1].p50_s or 0.0)))
    if fastest is finest:
        return f"{group.title}: fastest and most accurate is {fastest.name} ({cell_brief(fastest)})"
    told = f"fastest is {fastest.name} ({cell_brief(fastest)}), most accurate {finest.name} ({cell_brief(finest)})"
    return f"{group.title}: {told}"


def failures(report: FleetReport) -> list[tuple[str, str, str]]:
    """What failed: the cell, its exit code, and why."""
    return [
        (cell.name, str(cell.exit_code), cell.error or "the reason is in its own report")
        for cell in report.cells
        if cell.status != "waiting" and cell.exit_code
    ]


def notes(report: FleetReport) -> list[tuple[str, str]]:
    """What to know of the figures, such as that the machine was busy: the cells it is said of, and a text."""
    found: dict[str, list[str]] = {}
    for cell in report.cells:
        for text in cell.figures.notes if cell.figures else ():
            found.setdefault(text, []).append(cell.name)
    return [("" if len(names) == len(report.cells) else ", ".join(names), text) for text, names in found.items()]
