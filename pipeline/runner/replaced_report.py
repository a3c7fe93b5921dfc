"""What a run is about to replace: a report that was made for another machine, with its bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.environment import this_machine
from pipeline.errors import EdgewrightError
from pipeline.measuring.report_entries import called
from pipeline.report.render import read_report

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.workers.workplace import Workplace
    from pipeline.report.record import MachineEntry

__all__ = ["told_of_another_machine"]


def told_of_another_machine(folder: Path, place: Workplace) -> str | None:
    """One sentence where a run's folder holds what was made for another machine or device than the run's.

    Args:
        folder: Where the run's results will be written.
        place: Where it measures.

    Returns:
        None where that is not so, or nothing that can be read says so.
    """
    try:
        standing = read_report(folder).machine
    except (EdgewrightError, OSError):
        return None
    if (standing.class_, standing.device) == (place.machine.machine_class, called(place)):
        return None
    return (
        f"{folder} holds what was made for {_named(standing)}: this run's bundle and report take its place; "
        "--out FOLDER keeps both"
    )


def _named(machine: MachineEntry) -> str:
    if machine.device is None and machine.class_ == this_machine().machine_class:
        return "this machine"
    return f"{machine.device or 'another machine'} ({machine.cpu}, {machine.cores} cores)"
