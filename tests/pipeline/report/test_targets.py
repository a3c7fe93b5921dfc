"""The targets of one run beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.report.record import Latency, Memory, Report, Verdict
from pipeline.report.targets import TARGET_COLUMNS, render_targets, target_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    Golden = Callable[[str, str], None]


@pytest.fixture
def two(report: Report) -> list[Report]:
    """A target that was measured, and one that cannot run here."""
    bare = report.stages[-1].model_copy(
        update={
            "latency_s": Latency(),
            "memory_bytes": Memory(),
            "accuracy": report.stages[-1].accuracy.model_copy(update={"value": None}),
        }
    )
    told = "BUILT fp16 for tensorrt-rtx, 4.95 MB; not measured here: no NVIDIA GPU"
    verdict = Verdict(status="unmeasured", sentence=told, precision="fp16")
    unmeasured = report.model_copy(
        update={"target": "tensorrt-rtx", "verdict": verdict, "stages": (*report.stages[:-1], bare)}
    )
    return [report, unmeasured]


def test_every_target_has_a_row_with_a_cell_for_each_column(two: list[Report]) -> None:
    rows = target_rows(two)
    assert [row[0] for row in rows] == ["ort-cpu", "tensorrt-rtx"]
    assert {len(row) for row in rows} == {len(TARGET_COLUMNS)}


def test_what_was_not_measured_is_a_dash_with_the_reason(two: list[Report]) -> None:
    *cells, reason = target_rows(two)[1]
    assert (cells[2], cells[3], cells[5], cells[6]) == ("-", "-", "-", "-")
    assert reason == "not measured here: no NVIDIA GPU"


def test_a_page_about_a_device_says_so(two: list[Report]) -> None:
    first = two[0].model_copy(update={"machine": two[0].machine.model_copy(update={"device": "pi"})})

    assert "was measured on the target's own runtime on pi;" in render_targets([first, two[1]])


def test_the_page_is_written_as_it_was(two: list[Report], golden: Golden) -> None:
    golden("report/targets.md", render_targets(two))
