"""Waivers let one regression through, up to a limit and a day."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from pipeline.errors import RecipeError
from pipeline.gate.baselines.waivers import Waiver, apply_waivers, read_waivers
from pipeline.report.comparison import MetricRow, Verdict

_WAIVER = Waiver(case="c", metric="latency p50", max_change=0.08, reason="wider stem", expires=date(2026, 6, 30))
_BEFORE, _AFTER = date(2026, 6, 30), date(2026, 7, 1)


def _row(change: float, name: str = "latency p50", verdict: Verdict = Verdict.REGRESSED) -> MetricRow:
    return MetricRow(
        name=name, unit="s", baseline=1, candidate=1 + change, change=change, limit=0.02, method="", verdict=verdict
    )


def _applied(row: MetricRow, *, case: str = "c", today: date = _BEFORE) -> MetricRow:
    (found,) = apply_waivers([row], [_WAIVER], case=case, today=today)
    return found


def test_a_waived_regression_says_why_and_until_when() -> None:
    assert _applied(_row(0.05)).waived == "wider stem, until 2026-06-30"


def test_an_expired_waiver_lets_nothing_through_and_says_so() -> None:
    found = _applied(_row(0.05), today=_AFTER)

    assert found.waived is None
    assert found.note == "a waiver expired on 2026-06-30 (wider stem)"


def test_more_than_was_waived_is_not_let_through() -> None:
    found = _applied(_row(0.09))

    assert found.waived is None
    assert found.note == "worse than the waiver allows, 0.08 (wider stem)"


@pytest.mark.parametrize(
    ("row", "case"),
    [(_row(0.05), "another"), (_row(0.05, "latency p90"), "c"), (_row(0.05, verdict=Verdict.INCONCLUSIVE), "c")],
    ids=["another case", "another metric", "no regression"],
)
def test_a_waiver_is_for_one_metric_of_one_case_that_regressed(row: MetricRow, case: str) -> None:
    assert _applied(row, case=case) == row


def test_the_file_is_read(tmp_path: Path) -> None:
    text = "- {case: c, metric: latency p50, max_change: 0.08, reason: wider stem, expires: 2026-06-30}\n"
    (tmp_path / "waivers.yaml").write_text(text)

    assert read_waivers(tmp_path) == (_WAIVER,)


def test_no_file_is_no_waiver(tmp_path: Path) -> None:
    assert read_waivers(tmp_path) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {case: c, metric: m, max_change: 0.1, reason: r}\n", "0.expires: Field required"),
        ("- {case: c, metric: m, max_change: 0.1, reason: '', expires: 2026-01-01}\n", "0.reason"),
        ("- {case: c, metric: m, max_change: 0, reason: r, expires: 2026-01-01}\n", "0.max_change"),
        ("- {case: c, metric: m, max_change: 0.1, reason: r, expires: never}\n", "0.expires"),
        ("waivers: all\n", "Input should be a valid list"),
        ("[", "not readable"),
        ("[" * 10_000, "not readable"),
        ("!!bool maybe", "not readable"),
        ("!!int ''", "not readable"),
    ],
)
def test_a_waiver_that_is_none_is_an_error_and_waives_nothing(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "waivers.yaml").write_text(text)

    with pytest.raises(RecipeError) as raised:
        read_waivers(tmp_path)

    assert message in str(raised.value)
    assert "waivers.yaml" in str(raised.value)
