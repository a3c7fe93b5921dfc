"""An engine that is slow is measured by fewer inferences, in a known time; a fast one as ever."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from benchmarks.pairs.interleaving import in_turn
from benchmarks.solo import QUICK, SoloRecord
from benchmarks.statistics.percentiles import NEEDED
from benchmarks.workers import pair_worker
from benchmarks.workers.patience import FEWEST_PAIRS, FEWEST_TIMED, PART_S, TIMED_S
from benchmarks.workers.solo_worker import _first_answers, _repeated_input, _timed_loop
from benchmarks.workers.timed_inference import warm_up

_INPUTS = 64


@dataclass
class _Clock:
    """Time passes only while an engine runs."""

    now_s: float = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    found = _Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: found.now_s)
    monkeypatch.setattr(time, "perf_counter_ns", lambda: round(found.now_s * 1e9))
    return found


@dataclass
class _Engine:
    """Takes so many seconds; session, inputs and side in one."""

    clock: _Clock
    seconds: float
    count: int = _INPUTS
    runs: int = 0
    asked: list[int] = field(default_factory=list)

    def read(self, row: int) -> np.ndarray[Any, Any]:
        self.asked.append(row)
        return np.array([row])

    def run(self, batch: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], ...]:
        self.runs += 1
        self.clock.now_s += self.seconds
        return (batch,)

    def warm(self, row: int) -> int:
        self.run(np.array([row]))
        return round(self.seconds * 1e9)

    def step(self, row: int, *, check: bool) -> int:
        return self.warm(row)

    def slow(self, share: float, inference_ns: int) -> None:
        raise NotImplementedError

    def told(self) -> dict[str, Any]:
        return {"checked": 0, "mismatched": 0, "facts": {}}


def _solo(engine: Any) -> dict[str, Any]:  # noqa: ANN401 - session and inputs in one
    """All that a solo worker runs, and when each part had ended."""
    request = {"seed": 0, "iterations": QUICK.iterations, "min_iterations": QUICK.min_iterations, "max_s": QUICK.max_s}
    ends = [engine.clock.now_s]
    expected = _first_answers(engine, engine)
    ends.append(engine.clock.now_s)
    warm = warm_up(engine.warm, least_s=QUICK.warmup_s, limit=QUICK.warmup_limit)
    ends.append(engine.clock.now_s)
    timed = _timed_loop(engine, engine, expected, request)
    ends.append(engine.clock.now_s)
    repeated = _repeated_input(engine, engine, min(32, len(timed["samples_ns"])))
    ends.append(engine.clock.now_s)
    return {"expected": expected, "warm": warm, **timed, **repeated, "took_s": np.diff(ends).tolist()}


@pytest.mark.parametrize("seconds", [0.0001, 0.01, 0.1])
def test_an_engine_of_up_to_a_tenth_of_a_second_is_measured_as_it_was_asked(clock: _Clock, seconds: float) -> None:
    found = _solo(_Engine(clock, seconds))

    assert len(found["expected"]) == _INPUTS
    assert found["warm"]["iterations"] >= 40
    assert len(found["samples_ns"]) == pytest.approx(min(240, 12 / seconds), abs=1)
    assert len(found["fresh_ns"]) == len(found["repeated_ns"]) == 32


@pytest.mark.parametrize("seconds", [0.6, 1.0, 3.0, 20.0])
def test_each_part_of_a_slow_measurement_ends_in_its_time(clock: _Clock, seconds: float) -> None:
    found = _solo(_Engine(clock, seconds))
    first_s, warm_s, timed_s, repeated_s = (took - 1e-6 for took in found["took_s"])

    assert first_s <= PART_S + seconds
    assert found["warm"]["converged"]
    assert warm_s <= max(PART_S + seconds, 6 * seconds)
    assert timed_s <= max(TIMED_S + seconds, FEWEST_TIMED * seconds)
    assert len(found["samples_ns"]) >= NEEDED["p50"]
    assert repeated_s <= max(PART_S + 3 * seconds, 9 * seconds)
    assert len(found["fresh_ns"]) == len(found["repeated_ns"]) >= 3
    assert found["checked"] >= found["mismatched"] == 0


def test_a_slow_warm_up_that_does_not_settle_gives_up() -> None:
    told = warm_up(lambda number: 2**number * 10**9, least_s=0.25, limit=200)

    assert not told["converged"]
    assert told["iterations"] == 6


@pytest.mark.parametrize(("seconds", "pairs"), [(0.001, 400), (0.05, 32), (0.5, 6), (5.0, FEWEST_PAIRS)])
def test_pairs_of_slow_engines_are_few_but_some(clock: _Clock, seconds: float, pairs: int) -> None:
    sides = {name: _Engine(clock, seconds) for name in ("a", "b")}
    request = {"target_s": 0.8, "min_pairs": 32, "max_pairs": 600, "max_s": 6.0, "slow_b": 0.0}
    request |= {"warmup_s": 0.3, "warmup_limit": 120}

    found = in_turn(sides, random.Random(0), request)

    assert len(found["a_ns"]) == len(found["b_ns"]) == pairs
    assert all(side["converged"] for side in found["warmup"].values())


def test_slow_engines_are_loaded_once(clock: _Clock) -> None:
    def slow(seconds: float) -> bool:
        instances: Any = {name: [_Engine(clock, seconds)] for name in ("a", "b")}
        return pair_worker._are_slow(instances)

    assert [slow(seconds) for seconds in (0.001, 0.1, 0.2)] == [False, False, True]


def test_fewer_inferences_than_asked_are_told() -> None:
    def record(count: int) -> SoloRecord:
        process = {"samples_ns": [1_500_000_000] * count, "warmup": {"converged": True}}
        return SoloRecord(processes=(process,) * 3, states=(), profile=QUICK, affinity=())

    assert record(64).warnings() == []
    assert record(20).warnings() == ["an inference takes 1.5 s: 20 were timed in a process rather than 64"]
