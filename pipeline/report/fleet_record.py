"""A fleet as data: every cell, how it ended and what it came to. Seconds, bytes, fractions of 1."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.report.record import AccuracyFigure  # noqa: TC001 - pydantic reads it

__all__ = ["CellFigures", "FleetCell", "FleetReport"]

_Seconds = Annotated[float, Field(gt=0)] | None
_Bytes = Annotated[int, Field(gt=0)] | None


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


class CellFigures(_Record):
    """What a cell shipped, from its own report; what was not measured is null and ``sentence`` says why.

    Attributes:
        data: The data set's name in the cell's report.
        test_images: Identity of the images and labels that it was scored on; accuracies on the same ones compare.
        baseline_p50_s: Of the network before any stage, on the same target.
        machine_class: Of the machine it was measured on; figures of one class may be compared.
        speedup: As in the verdict of its report, with the ends of its interval.
        notes: What to know of the figures, such as that the machine was busy.
    """

    data: str
    test_images: str
    precision: str
    verdict: str
    sentence: str
    p50_s: _Seconds = None
    p90_s: _Seconds = None
    baseline_p50_s: _Seconds = None
    size_bytes: _Bytes = None
    memory_peak_bytes: _Bytes = None
    accuracy: AccuracyFigure
    baseline_accuracy: float | None = None
    speedup: float | None = None
    speedup_low: float | None = None
    speedup_high: float | None = None
    bundle_sha256: str
    machine: str
    machine_class: str
    notes: tuple[str, ...] = ()


class FleetCell(_Record):
    """One deploy of the fleet.

    Attributes:
        status: ``done`` where there is a bundle, ``failed`` where there is none and the fleet is over with it,
            ``waiting`` where the fleet has not come to its end; report and figures are then an earlier run's.
        asked_sha256: Of the recipe that was asked for.
        exit_code: Which the deploy alone would have ended with; null while it waits.
        error: What the deploy alone would have printed.
        tries: How often it was begun; more than 1 where a worker was lost.
        ran: Stages that ran for it, rather than having come from the store.
        report: Its own page, relative to the fleet's.
    """

    name: str
    model: str
    data: str
    recipe: str
    target: str
    device: str
    status: Literal["done", "failed", "waiting"]
    asked_sha256: str
    exit_code: int | None = None
    error: str | None = None
    tries: Annotated[int, Field(ge=0)] = 0
    wall_s: Annotated[float, Field(ge=0)] | None = None
    ran: tuple[str, ...] = ()
    report: str | None = None
    figures: CellFigures | None = None


class FleetReport(_Record):
    """A fleet so far."""

    schema_: Literal["edgewright.fleet-report/1"] = Field(default="edgewright.fleet-report/1", alias="schema")
    edgewright: str
    fleet: str = Field(description="its file's name")
    cells: tuple[FleetCell, ...]

    def count(self, status: str) -> int:
        """How many cells have a status."""
        return sum(cell.status == status for cell in self.cells)
