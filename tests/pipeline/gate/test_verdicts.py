"""All metrics together: which one wins, and the sentence of each verdict, exactly."""

from __future__ import annotations

from itertools import permutations

import pytest

from pipeline.gate.verdicts import exit_code, overall, sentence
from pipeline.report.comparison import Comparison, MetricRow, ProcessPoint, Verdict

_UNITS = {"accuracy": "1", "agreement": "1", "memory": "B", "size": "B"}


def _row(name: str, verdict: Verdict = Verdict.OK, **fields: object) -> MetricRow:
    known: dict[str, object] = {
        "name": name,
        "unit": _UNITS.get(name, "s"),
        "baseline": 1.0,
        "candidate": 1.0,
        "change": 0.0,
        "limit": 0.02,
        "method": "",
        "verdict": verdict,
    }
    return MetricRow.model_validate({**known, **fields})


P50 = _row("latency p50", change=0.004, low=-0.001, high=0.012)
ACCURACY = _row("accuracy", change=0.0, low=-0.004, high=0.004, limit=0.01)


def _found(*rows: MetricRow, **fields: object) -> Comparison:
    points = [
        ProcessPoint(kind=kind, position=0, pairs=64, p50_change=0, p90_change=0, baseline_p50_s=0.01, other_p50_s=0.01)
        for kind in (*["pair"] * 10, *["control"] * 5)
    ]
    known: dict[str, object] = {
        "baseline": "a" * 64, "candidate": "b" * 64, "verdict": Verdict.OK, "sentence": "", "exit_code": 0,
        "metrics": rows, "processes": points, "control_change": 0.002,
    }  # fmt: skip
    return Comparison.model_validate({**known, **fields})


def _told(*rows: MetricRow, **fields: object) -> tuple[str, int]:
    found = _found(*rows, **fields)
    verdict = overall(found)
    return sentence(found, verdict, "net for ort-cpu"), exit_code(found, verdict)


PRECEDENCE = (Verdict.REGRESSED, Verdict.UNFIT, Verdict.INCONCLUSIVE, Verdict.IMPROVED, Verdict.OK)


@pytest.mark.parametrize("worst", range(len(PRECEDENCE)))
def test_the_worst_that_is_certain_wins_then_doubt_then_the_best_in_whatever_order_they_stand(worst: int) -> None:
    for verdicts in permutations(PRECEDENCE[worst:]):
        rows = [_row(f"m{number}", verdict) for number, verdict in enumerate(verdicts)]

        assert overall(_found(*rows)) is PRECEDENCE[worst]


def test_what_decides_nothing_or_is_waived_does_not_count() -> None:
    told, waived = _row("load time", Verdict.REGRESSED, gating=False), _row("size", Verdict.REGRESSED, waived="agreed")

    assert overall(_found(P50, told, waived)) is Verdict.OK
    assert exit_code(_found(P50, told, waived), Verdict.OK) == 0


def test_a_waived_improvement_or_doubt_hides_no_regression() -> None:
    rows = (_row("size", Verdict.REGRESSED, waived="agreed"), _row("memory", Verdict.REGRESSED))

    assert overall(_found(*rows)) is Verdict.REGRESSED


def test_nothing_measured_at_all_is_no_regression_but_a_missing_metric_is() -> None:
    assert overall(_found()) is Verdict.OK
    assert overall(_found(P50, missing=("memory",))) is Verdict.REGRESSED


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (Verdict.OK, 0),
        (Verdict.IMPROVED, 0),
        (Verdict.REGRESSED, 1),
        (Verdict.INCONCLUSIVE, 3),
        (Verdict.UNFIT, 4),
    ],
)
def test_every_verdict_has_its_exit_code(verdict: Verdict, code: int) -> None:
    assert exit_code(_found(_row("latency p50", verdict)), verdict) == code


@pytest.mark.parametrize("name", ["accuracy", "agreement"])
def test_accuracy_and_parity_have_a_code_of_their_own_before_all_others(name: str) -> None:
    rows = (_row("latency p50", Verdict.REGRESSED), _row(name, Verdict.REGRESSED), _row("memory", Verdict.UNFIT))

    assert exit_code(_found(*rows), overall(_found(*rows))) == 8


@pytest.mark.parametrize("name", ["accuracy", "agreement"])
def test_an_accuracy_that_is_only_doubtful_is_not_that_code(name: str) -> None:
    found = _found(_row(name, Verdict.INCONCLUSIVE))

    assert exit_code(found, overall(found)) == 3


def test_all_well() -> None:
    assert _told(P50, ACCURACY, _row("size")) == (
        (
            "OK net for ort-cpu: latency p50 +0.4 % (at most +1.2 %, limit +2 %); "
            "accuracy same (at most 0.40 lost, limit 1) (10 processes, baseline against itself +0.2 %)"
        ),
        0,
    )


def test_accuracy_that_was_gained() -> None:
    text, _ = _told(P50, _row("accuracy", change=-0.005, low=-0.012, high=0.002, limit=0.01))

    assert "accuracy 0.50 points gained (at most 0.20 lost, limit 1)" in text


def test_slower() -> None:
    row = _row("latency p50", Verdict.REGRESSED, change=0.051, low=0.043, high=0.058)

    assert _told(row, ACCURACY) == (
        (
            "REGRESSED net for ort-cpu: latency p50 +5.1 % (at least +4.3 %, limit +2 %) "
            "(10 processes, baseline against itself +0.2 %)"
        ),
        1,
    )


def test_less_accurate_and_slower_and_bigger() -> None:
    rows = (
        _row("latency p50", Verdict.REGRESSED, change=0.051, low=0.043),
        _row("size", Verdict.REGRESSED, change=0.1, limit=0.0),
        _row("accuracy", Verdict.REGRESSED, change=0.031, low=0.012, high=0.05, limit=0.01),
        _row("agreement", Verdict.REGRESSED, change=0.2, low=0.15, limit=0.1),
    )

    assert _told(*rows) == (
        (
            "REGRESSED net for ort-cpu: accuracy 3.10 points lost (limit 1); "
            "parity: 80.00 % same answers (limit 90 %); also latency p50, size "
            "(10 processes, baseline against itself +0.2 %)"
        ),
        8,
    )


def test_a_metric_that_is_no_longer_measured() -> None:
    text, code = _told(P50, ACCURACY, missing=("memory", "latency p90"))

    assert (text, code) == (
        (
            "REGRESSED net for ort-cpu: memory, latency p90 no longer measured "
            "(10 processes, baseline against itself +0.2 %)"
        ),
        1,
    )


def test_a_missing_metric_and_a_regression_are_both_told() -> None:
    text, _ = _told(_row("size", Verdict.REGRESSED, change=0.1, limit=0.0), missing=("memory",))

    assert ": memory no longer measured; size +10.0 % (limit +0 %) (" in text


def test_doubt_says_how_bad_it_may_be() -> None:
    row = _row("latency p90", Verdict.INCONCLUSIVE, change=0.03, low=-0.01, high=0.07, limit=0.05)

    assert _told(P50, row, ACCURACY) == (
        (
            "INCONCLUSIVE net for ort-cpu: latency p90 +3.0 % (at most +7.0 %, limit +5 %) "
            "(10 processes, baseline against itself +0.2 %)"
        ),
        3,
    )


def test_doubt_without_a_bound_says_none() -> None:
    row = _row("memory", Verdict.INCONCLUSIVE, change=0.01, low=None, high=None)

    assert ": memory +1.0 % (limit +2 %) (" in _told(row)[0]


def test_faster() -> None:
    row = _row("latency p50", Verdict.IMPROVED, change=-0.08, low=-0.09, high=-0.07)

    assert _told(row, ACCURACY) == (
        (
            "IMPROVED net for ort-cpu: latency p50 -8.0 % (at most -7.0 %, limit +2 %) "
            "(10 processes, baseline against itself +0.2 %)"
        ),
        0,
    )


def test_an_unfit_machine_says_why() -> None:
    row = _row("latency p50", Verdict.UNFIT, change=0.004, high=0.012)

    assert _told(row, ACCURACY, unfit=("tasks waited for a core 40 % of the time", "and more")) == (
        (
            "UNFIT net for ort-cpu: latency p50 +0.4 % (at most +1.2 %, limit +2 %); "
            "accuracy same (at most 0.40 lost, limit 1); tasks waited for a core 40 % of the time "
            "(10 processes, baseline against itself +0.2 %)"
        ),
        4,
    )


def test_a_waived_regression_is_not_what_is_told() -> None:
    text, code = _told(P50, ACCURACY, _row("size", Verdict.REGRESSED, change=0.1, waived="agreed"))

    assert text.startswith("OK net for ort-cpu: latency p50 ")
    assert "size" not in text
    assert code == 0


def test_without_a_control_none_is_told() -> None:
    assert _told(P50, ACCURACY, control_change=None)[0].endswith("(10 processes)")


def test_where_all_of_the_interval_is_gained_that_is_what_is_said() -> None:
    gained = _row("accuracy", Verdict.IMPROVED, change=-0.15, low=-0.18, high=-0.1229, limit=0.01)

    assert "gained (at least 12.29 gained, limit 1)" in _told(P50, gained)[0]
