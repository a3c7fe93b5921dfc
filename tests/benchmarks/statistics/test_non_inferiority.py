"""Verdicts on synthetic series: what is shown, what is not, and what a noisy machine makes of it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.machine.disturbance import MachineState
from benchmarks.pairs.paired_processes import Kind, PairProcess
from benchmarks.statistics.margins import EFFORTS, Margins
from benchmarks.statistics.non_inferiority import (
    Control,
    judge_accuracy,
    judge_control,
    judge_latency,
    judge_memory,
    judge_size,
)
from benchmarks.statistics.paired_metric import MetricDrop, drop_of_hits
from benchmarks.statistics.signed_rank import shift
from pipeline.report.comparison import MetricRow, Verdict

MARGINS, DEFAULT = Margins(), EFFORTS["default"]
QUIET = Control(change=shift([0.0] * 5, alpha=0.05), reasons=())


def _process(kind: Kind, position: int, change: float, *, others: float = 0.0, steal: float = 0.0) -> PairProcess:
    """Sixty-four pairs whose other side takes ``1 + change`` times as long."""
    baseline = tuple(0.01 + 1e-5 * (number % 7) for number in range(64))
    return PairProcess(
        kind=kind,
        position=position,
        a_s=baseline,
        b_s=tuple(value * (1 + change) for value in baseline),
        converged=True,
        state=MachineState(pressure=0.9, others=others, steal=steal, load=0.0, mhz=None),
        apart=False,
        raw={},
    )


def _processes(changes: list[float], controls: list[float] | None = None, **state: float) -> list[PairProcess]:
    pairs = [_process("pair", number, change, **state) for number, change in enumerate(changes)]
    others = [0.0] * 5 if controls is None else controls
    return pairs + [_process("control", len(pairs) + n, change, **state) for n, change in enumerate(others)]


def _p50(changes: list[float], control: Control = QUIET) -> MetricRow:
    rows = judge_latency(_processes(changes), MARGINS, DEFAULT, control)
    return next(row for row in rows if row.name == "latency p50")


class _Simulated(PairProcess):
    """One pair, whose ratio is the change of every quantile: finding that out anew costs more than the verdict."""

    def median_change(self) -> float:
        return math.log(self.b_s[0] / self.a_s[0])

    def quantile_change(self, share: float) -> float:
        del share
        return self.median_change()


_STATE = MachineState(pressure=0.9, others=0.0, steal=0.0, load=0.0, mhz=None)


def _verdict(changes: list[float]) -> Verdict:
    """Of p50, for processes of which each differs by one of these changes."""
    processes = [
        _Simulated(
            kind="pair", position=number, a_s=(0.01,), b_s=(0.01 * (1 + change),), converged=True, state=_STATE,
            apart=False, raw={},
        )
        for number, change in enumerate(changes)
    ]  # fmt: skip
    rows = judge_latency(processes, MARGINS, DEFAULT, QUIET)
    return next(row.verdict for row in rows if row.name == "latency p50")


def _around(centre: float, spread: float = 0.003, seed: int = 0, n: int = 10) -> list[float]:
    return list(np.random.default_rng(seed).normal(centre, spread, n))


@pytest.mark.parametrize(
    ("centre", "verdict"),
    [(0.0, Verdict.OK), (0.05, Verdict.REGRESSED), (-0.05, Verdict.IMPROVED), (0.02, Verdict.INCONCLUSIVE)],
)
def test_a_change_is_judged_by_where_its_whole_interval_lies(centre: float, verdict: Verdict) -> None:
    assert _p50(_around(centre)).verdict is _verdict(_around(centre)) is verdict


def test_the_row_tells_estimate_interval_and_limit() -> None:
    row = _p50([0.05] * 10)

    assert row.change == pytest.approx(0.05)
    assert (row.low, row.high) == (pytest.approx(0.05), pytest.approx(0.05))
    assert (row.limit, row.unit) == (0.02, "s")
    assert row.level == pytest.approx(0.975, abs=0.002)
    assert row.candidate == pytest.approx(1.05 * (row.baseline or 0))


def test_the_ninth_decile_is_judged_by_its_own_margin() -> None:
    rows = judge_latency(_processes([0.04] * 10), MARGINS, DEFAULT, QUIET)

    assert {row.name: row.verdict for row in rows} == {"latency p50": Verdict.REGRESSED, "latency p90": Verdict.OK}


def test_on_an_unfit_machine_no_latency_is_judged() -> None:
    noisy = Control(change=QUIET.change, reasons=("tasks waited",))

    assert _p50([0.5] * 10, noisy).verdict is Verdict.UNFIT


def test_a_quiet_control_is_fit() -> None:
    control = judge_control(_processes([0.0] * 10, controls=[0.001, -0.001, 0.002, 0.0, -0.002]), MARGINS, DEFAULT)

    assert control.reasons == ()
    assert abs(control.change.estimate) < 0.002


@pytest.mark.parametrize(
    ("controls", "state", "reason"),
    [
        ([0.03] * 5, {}, "the baseline differs from itself by +3.00 %, more than half the margin of 2 %"),
        ([0.0] * 5, {"others": 0.4}, "other programs took 40 % of the cores' time"),
        ([0.0] * 5, {"steal": 0.1}, "the hypervisor took 10 % of the time"),
    ],
)
def test_a_noisy_machine_is_unfit_and_says_why(controls: list[float], state: dict[str, float], reason: str) -> None:
    assert judge_control(_processes([0.0] * 10, controls, **state), MARGINS, DEFAULT).reasons == (reason,)


def test_a_device_that_got_hot_is_unfit() -> None:
    processes = [replace(process, raw={"celsius": [61.0, None]}) for process in _processes([0.0] * 10)]
    assert judge_control(processes, MARGINS, DEFAULT).reasons == ()

    processes[3] = replace(processes[3], raw={"celsius": [79.0, 83.4]})
    (reason,) = judge_control(processes, MARGINS, DEFAULT).reasons
    assert reason == "the device was 83 °C hot: its clocks may have been held back"


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-0.1, 0.1), min_size=10, max_size=10))
def test_no_result_is_both_regressed_one_way_and_not_improved_the_other(changes: list[float]) -> None:
    """A slower than B by more than the margin exactly when B is faster than A by more than it."""
    mirrored = [1 / (1 + change) - 1 for change in changes]

    assert (_p50(changes).verdict is Verdict.REGRESSED) == (_p50(mirrored).verdict is Verdict.IMPROVED)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-0.05, 0.08), min_size=10, max_size=10), st.floats(0.01, 100))
def test_the_unit_of_time_does_not_matter(changes: list[float], factor: float) -> None:
    scaled = [
        PairProcess(
            kind=process.kind,
            position=process.position,
            a_s=tuple(factor * value for value in process.a_s),
            b_s=tuple(factor * value for value in process.b_s),
            converged=True,
            state=process.state,
            apart=False,
            raw={},
        )
        for process in _processes(changes)
    ]

    verdicts = [row.verdict for row in judge_latency(_processes(changes), MARGINS, DEFAULT, QUIET)]

    assert [row.verdict for row in judge_latency(scaled, MARGINS, DEFAULT, QUIET)] == verdicts


def test_false_alarms_are_rarer_than_alpha_at_the_margin_itself() -> None:
    """1,000 gates whose true change is the margin exactly, the hardest case: at most alpha a look regress."""
    regressed = sum(_verdict(_around(0.02, 0.005, seed)) is Verdict.REGRESSED for seed in range(1000))

    assert regressed / 1000 <= 0.032


def test_without_a_difference_nothing_is_ever_shown() -> None:
    verdicts = {_verdict(_around(0.0, 0.006, seed)) for seed in range(1000)}

    assert verdicts <= {Verdict.OK, Verdict.INCONCLUSIVE}


@pytest.mark.parametrize(("centre", "least"), [(0.03, 0.80), (0.05, 0.99)])
def test_slowdowns_beyond_the_margin_are_seen(centre: float, least: float) -> None:
    """With the spread between processes that was met on a shared two-core machine."""
    seen = sum(_verdict(_around(centre, 0.0057, seed)) is Verdict.REGRESSED for seed in range(400))

    assert seen / 400 >= least


@pytest.mark.parametrize("effort", list(EFFORTS.values()), ids=list(EFFORTS))
def test_every_effort_has_processes_enough_to_show_a_regression_at_all(effort: object) -> None:
    """The smallest p-value there can be has to pass Holm's correction for both latencies."""
    from benchmarks.statistics.margins import Effort

    assert isinstance(effort, Effort)
    assert 0.5**effort.processes <= effort.look_alpha / 2
    assert 0.5**effort.memory_processes <= effort.alpha


@pytest.mark.parametrize(
    ("candidate", "verdict"),
    [(100 << 20, Verdict.OK), (110 << 20, Verdict.REGRESSED), (90 << 20, Verdict.IMPROVED)],
)
def test_memory_is_judged_by_fresh_processes(candidate: int, verdict: Verdict) -> None:
    row = judge_memory([100 << 20] * 8, [candidate] * 8, MARGINS, DEFAULT)

    assert row.verdict is verdict
    assert (row.baseline, row.candidate) == (100 << 20, candidate)


def test_a_mebibyte_of_memory_is_no_change() -> None:
    assert judge_memory([4 << 20] * 8, [(4 << 20) + (1 << 19)] * 8, MARGINS, DEFAULT).verdict is Verdict.OK


def test_one_process_with_more_memory_proves_nothing() -> None:
    row = judge_memory([100 << 20] * 8, [*[100 << 20] * 7, 200 << 20], MARGINS, DEFAULT)

    assert row.verdict is not Verdict.REGRESSED


@pytest.mark.parametrize(
    ("candidate", "verdict"), [(1000, Verdict.OK), (1001, Verdict.REGRESSED), (999, Verdict.IMPROVED)]
)
def test_bytes_are_counted_exactly(candidate: int, verdict: Verdict) -> None:
    assert judge_size(1000, candidate, MARGINS).verdict is verdict


@pytest.mark.parametrize(
    ("candidate", "verdict"), [(1051, Verdict.REGRESSED), (999, Verdict.OK), (951, Verdict.OK), (949, Verdict.IMPROVED)]
)
def test_a_margin_of_the_size_holds_on_both_sides(candidate: int, verdict: Verdict) -> None:
    assert judge_size(1000, candidate, replace(MARGINS, size=0.05)).verdict is verdict


def _drop(baseline: list[float], candidate: list[float]) -> MetricDrop:
    return drop_of_hits(baseline, candidate, alpha=DEFAULT.alpha)


def _accuracy(lost: int, won: int = 0, n: int = 1000) -> Verdict:
    baseline = [1.0] * (n - won) + [0.0] * won
    candidate = [0.0] * lost + [1.0] * (n - lost)
    accuracy, _ = judge_accuracy(_drop(baseline, candidate), n - lost - won, MARGINS, DEFAULT)
    return accuracy.verdict


def test_accuracy_is_paired_image_by_image() -> None:
    assert _accuracy(lost=0) is Verdict.OK
    assert _accuracy(lost=2, n=2000) is Verdict.OK
    assert _accuracy(lost=30) is Verdict.REGRESSED
    assert _accuracy(lost=0, won=40) is Verdict.IMPROVED


def test_too_few_images_to_exclude_the_margin_are_inconclusive() -> None:
    assert _accuracy(lost=1, n=150) is Verdict.INCONCLUSIVE


def test_other_answers_are_a_matter_of_parity_even_where_accuracy_stays() -> None:
    half = [1.0, 0.0] * 100
    _, agreement = judge_accuracy(_drop(half, half[::-1]), 100, MARGINS, DEFAULT)

    assert agreement.verdict is Verdict.REGRESSED
    assert agreement.change == pytest.approx(0.5)


def test_a_bound_that_too_few_processes_cannot_give_is_null() -> None:
    rows = judge_latency(_processes([0.0, 0.0]), MARGINS, DEFAULT, QUIET)

    assert [(row.low, row.high) for row in rows] == [(None, None)] * 2
    assert all(math.isfinite(row.change or 0) for row in rows)
