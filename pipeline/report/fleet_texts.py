"""What a fleet's page says, as plain texts: the same in the terminal and in HTML."""

from __future__ import annotations

import re
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
_EARLIER = "figures of an earlier run; this one has not come to its end"
_SHARE = re.compile(r"(?<![\d.])\d+(?= %)")
_ITS_PLACE = "\0"
_AXES = ("model", "data", "recipe", "target", "device")


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Cells whose figures may be compared: one device, one class of machine, the same test images."""

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
    before = sum(_is_earlier(cell) for cell in report.cells)
    results = f" ({before} with an earlier run's results)" if before else ""
    told += [f"{waiting} not yet{results}: the same command goes on from here"] if waiting else []
    return ", ".join(told)


def _is_earlier(cell: FleetCell) -> bool:
    """Whether its figures are those of a run before this one."""
    return cell.status == "waiting" and cell.figures is not None


def fell_short(report: FleetReport) -> int:
    """How many cells have a bundle that missed its goals, or is worse than what was accepted."""
    return sum(
        cell.status == "done" and cell.figures is not None and cell.figures.verdict in _SHORT for cell in report.cells
    )


def cell_cells(cell: FleetCell) -> tuple[str, ...]:
    """One cell, a text for each of :data:`CELL_COLUMNS`."""
    found = cell.figures
    if found is None:
        return (cell.name, _status(cell), *["-"] * (len(CELL_COLUMNS) - 3), figures.seconds(cell.wall_s))
    return (
        cell.name,
        f"{_status(cell)}, {found.verdict} before" if _is_earlier(cell) else found.verdict,
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
    told = f"{figures.milliseconds(found.p50_s)}, {figures.percent(found.accuracy.value)}, {found.precision}"
    return f"{_status(cell)}; before {told}" if _is_earlier(cell) else told


def matrix(report: FleetReport) -> Matrix:
    """What was deployed against where it runs; an axis without a choice is not named."""
    choices = {axis: len({getattr(cell, axis) for cell in report.cells}) for axis in _AXES}

    def names(cell: FleetCell, first: str, *others: str) -> tuple[str, ...]:
        return tuple(getattr(cell, axis) for axis in (first, *(one for one in others if choices[one] > 1)))

    places = {(names(cell, "model", "data", "recipe"), names(cell, "target", "device")): cell for cell in report.cells}
    rows = dict.fromkeys(row for row, _ in places)
    columns = dict.fromkeys(column for _, column in places)
    return Matrix(
        columns=tuple(map(" ".join, columns)),
        rows=tuple((" ".join(row), tuple(places.get((row, column)) for column in columns)) for row in rows),
    )


def groups(report: FleetReport) -> tuple[Group, ...]:
    """The measured cells, by what may be compared with what."""
    has_choice = len({cell.data for cell in report.cells}) > 1
    found: dict[tuple[str, str, str], dict[str, list[FleetCell]]] = {}
    for cell in report.cells:
        if cell.figures is not None and cell.figures.p50_s is not None and cell.figures.accuracy.value is not None:
            data = cell.data if has_choice else cell.figures.data
            same_name = found.setdefault((data, cell.device, cell.figures.machine_class), {})
            same_name.setdefault(cell.figures.test_images, []).append(cell)
    return tuple(
        Group(title=_title(data, cells, with_recipes=len(same_name) > 1), cells=tuple(cells))
        for (data, _, _), same_name in found.items()
        for cells in same_name.values()
    )


def _title(data: str, cells: Sequence[FleetCell], *, with_recipes: bool) -> str:
    """Of a group; with the recipes where these make other test images of the same data."""
    first = cells[0]
    assert first.figures is not None  # noqa: S101 - as they were chosen
    place = first.figures.machine if first.device == "here" else f"{first.device} ({first.figures.machine})"
    recipes = f" ({', '.join(dict.fromkeys(cell.recipe for cell in cells))})" if with_recipes else ""
    return f"{data}{recipes} on {place}"


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
    """What to know of the figures, such as that the machine was busy: the cells it is said of, and a text.

    Texts that differ in one whole percentage alone are one, with the least and the most.
    """
    found: dict[str, tuple[dict[str, None], list[int]]] = {}
    for cell in report.cells:
        told = cell.figures.notes if cell.figures else ()
        for text in (_EARLIER, *told) if _is_earlier(cell) else told:
            shares = [int(share) for share in _SHARE.findall(text)]
            names, all_shares = found.setdefault(_SHARE.sub(_ITS_PLACE, text) if len(shares) == 1 else text, ({}, []))
            names[cell.name] = None
            all_shares += shares if len(shares) == 1 else []
    return [
        ("" if len(names) == len(report.cells) else ", ".join(names), text.replace(_ITS_PLACE, _span(shares)))
        for text, (names, shares) in found.items()
    ]


def _span(shares: Sequence[int]) -> str:
    return " to ".join(map(str, sorted({min(shares), max(shares)}))) if shares else _ITS_PLACE
