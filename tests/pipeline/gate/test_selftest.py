"""What the gate is shown to see: verdicts counted, false alarms and blindness told by the exit code."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pipeline.gate.selftest import COLUMNS, SLOWDOWNS, SelfTest, rows_of, run_selftest, worst_code
from pipeline.progress import SilentProgress
from pipeline.report.comparison import Comparison, MetricRow, Verdict

if TYPE_CHECKING:
    from exporters.bundle import Bundle
    from pipeline.data import Dataset
    from pipeline.gate.two_bundles import GateOptions


def _one(verdict: Verdict, change: float = 0.0) -> Comparison:
    row = MetricRow(
        name="latency p50", unit="s", baseline=1, candidate=1, change=change, limit=0.02, method="", verdict=verdict
    )  # fmt: skip
    return Comparison(baseline="a", candidate="a", verdict=verdict, sentence="", exit_code=0, metrics=(row,))


def _tests(*found: tuple[float, list[Verdict]]) -> list[SelfTest]:
    return [SelfTest(slowdown=slowdown, found=tuple(map(_one, verdicts))) for slowdown, verdicts in found]


OK, REGRESSED, IMPROVED, INCONCLUSIVE, UNFIT = (
    Verdict.OK, Verdict.REGRESSED, Verdict.IMPROVED, Verdict.INCONCLUSIVE, Verdict.UNFIT,
)  # fmt: skip


@pytest.mark.parametrize(
    ("none", "large", "code"),
    [
        ([OK, OK], [REGRESSED, REGRESSED], 0),
        ([INCONCLUSIVE, OK], [REGRESSED], 0),
        ([OK, REGRESSED], [REGRESSED], 1),
        ([OK, IMPROVED], [REGRESSED], 1),
        ([OK], [REGRESSED, OK], 1),
        ([OK], [REGRESSED, INCONCLUSIVE], 1),
        ([UNFIT, UNFIT], [UNFIT], 4),
        ([UNFIT, OK], [UNFIT, REGRESSED], 0),
        ([UNFIT, REGRESSED], [UNFIT], 1),
    ],
)
def test_false_alarms_and_blindness_end_with_1_and_a_machine_that_is_always_unfit_with_4(
    none: list[Verdict], large: list[Verdict], code: int
) -> None:
    assert worst_code(_tests((0.0, none), (0.05, large))) == code


def test_a_false_alarm_of_any_metric_is_one() -> None:
    """The median latency was well, and the memory not: the gate would have failed."""
    alarmed = _one(OK).model_copy(update={"verdict": REGRESSED})

    assert worst_code([SelfTest(slowdown=0.0, found=(alarmed,)), *_tests((0.05, [REGRESSED]))]) == 1


@pytest.mark.parametrize("verdict", [OK, INCONCLUSIVE, REGRESSED])
def test_slowdowns_about_the_margin_may_come_out_either_way(verdict: Verdict) -> None:
    assert worst_code(_tests((0.0, [OK]), (0.01, [verdict]), (0.03, [verdict]), (0.05, [REGRESSED]))) == 0


def test_every_slowdown_is_a_row_that_says_what_was_expected() -> None:
    results = _tests(*((slowdown, [OK, REGRESSED]) for slowdown in SLOWDOWNS))
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in rows_of(results)]

    assert [row["slowed by"] for row in rows] == ["0 %", "1 %", "3 %", "5 %"]
    assert [row["expected"] for row in rows] == [
        "never regressed or improved", "not regressed", "mostly regressed", "regressed",
    ]  # fmt: skip
    assert {(row["gates"], row["ok"], row["regressed"], row["unfit"]) for row in rows} == {("2", "1", "1", "0")}


def test_a_row_tells_between_which_changes_it_was_seen() -> None:
    found = SelfTest(slowdown=0.05, found=(_one(REGRESSED, 0.048), _one(REGRESSED, 0.057)))

    (row,) = rows_of([found])

    assert row[COLUMNS.index("seen as")] == "+4.8 to +5.7 %"


def test_real_work_of_a_known_size_is_seen_in_about_that_size(
    trained: Bundle, colours: Dataset, pairs_alone: GateOptions
) -> None:
    told: list[str] = []
    options = replace(pairs_alone, protocol=replace(pairs_alone.protocol, min_pairs=64, max_pairs=64))

    results = run_selftest(
        trained, colours, options, SilentProgress(), gates=1, tell=told.append, slowdowns=(0.0, 1.0)
    )  # fmt: skip
    changes = [row.change or 0 for result in results for one in result.found if (row := one.metric("latency p50"))]

    assert [result.slowdown for result in results] == [0.0, 1.0]
    assert changes[1] > 0.3
    assert changes[0] < changes[1]
    assert [line.partition(":")[0] for line in told] == ["slowed by 0 %", "slowed by 100 %"]
    sizes = [one.metric("size") for result in results for one in result.found]
    assert [row.verdict for row in sizes if row] == [OK, OK]
