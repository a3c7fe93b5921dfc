"""Two engines in one process: orders drawn, both asked the same, nothing dropped."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.engine import Engine
from benchmarks.machine.disturbance import MachineState
from benchmarks.pairs.paired_processes import Kind, PairProcess, PairProtocol, measure_pairs
from benchmarks.workers.launch import one_at_a_time, run_worker
from benchmarks.workers.pair_worker import instances_for
from pipeline.errors import IntegrityError

Opened = Callable[[str], Engine]

PAIRS = 48
SHORT = PairProtocol(min_pairs=PAIRS, max_pairs=PAIRS, target_s=0.01, warmup_s=0.0, warmup_limit=40)


class _Ticker:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def advance(self, steps: int = 1, *, status: str = "") -> None:
        self.told += [status] * steps


def _measured(
    a: Engine, b: Engine, kinds: list[Kind], *, seed: int = 0, protocol: PairProtocol = SHORT
) -> list[PairProcess]:
    return measure_pairs(a, b, protocol, kinds, _Ticker(), seed=seed)


SLOWED = replace(SHORT, slow_b=0.5)


@pytest.fixture(scope="module")
def ticker() -> _Ticker:
    """Is told of what follows."""
    return _Ticker()


@pytest.fixture(scope="module")
def measured(engine: Engine, ticker: _Ticker) -> list[PairProcess]:
    """Three pairs of an engine with itself slowed by half, and two controls."""
    kinds: list[Kind] = ["pair"] * 3 + ["control"] * 2
    return measure_pairs(engine, engine, SLOWED, kinds, ticker, seed=7)


def test_every_process_has_as_many_samples_of_either_side_as_were_asked_for(measured: list[PairProcess]) -> None:
    for process in measured:
        assert len(process.a_s) == len(process.b_s) == len(process.raw["a_first"]) == PAIRS


def test_nothing_is_dropped_on_the_way_from_the_worker(measured: list[PairProcess]) -> None:
    for process in measured:
        assert [round(value * 1e9) for value in process.a_s] == process.raw["a_ns"]
        assert [round(value * 1e9) for value in process.b_s] == process.raw["b_ns"]


def test_processes_run_in_an_order_that_the_seed_draws(engine: Engine, measured: list[PairProcess]) -> None:
    asked: list[Kind] = ["pair"] * 3 + ["control"] * 2
    expected = list(asked)
    random.Random(7).shuffle(expected)

    assert [process.kind for process in measured] == expected != asked
    assert [process.position for process in measured] == list(range(5))


def test_either_side_comes_first_in_about_half_of_the_pairs(measured: list[PairProcess]) -> None:
    firsts = [first for process in measured for first in process.raw["a_first"]]

    assert set(firsts) == {0, 1}
    assert 0.35 <= sum(firsts) / len(firsts) <= 0.65
    assert len({tuple(process.raw["a_first"]) for process in measured}) == len(measured)


def test_either_side_is_loaded_first_in_some_processes(measured: list[PairProcess]) -> None:
    assert {process.raw["loaded_first"] for process in measured} == {"a", "b"}


def test_extra_work_slows_the_candidate_by_about_the_share_asked_for(measured: list[PairProcess]) -> None:
    changes = [math.expm1(process.median_change()) for process in measured if process.kind == "pair"]

    assert 0.15 <= sorted(changes)[1] <= 2.0


def test_controls_are_never_slowed(measured: list[PairProcess]) -> None:
    pairs = [process.median_change() for process in measured if process.kind == "pair"]
    controls = [process.median_change() for process in measured if process.kind == "control"]

    assert min(controls) < sorted(pairs)[1] / 2


def test_the_state_of_the_machine_is_kept_with_every_process(measured: list[PairProcess]) -> None:
    assert all(process.state.load is None or process.state.load >= 0 for process in measured)
    assert all(set(process.raw["facts"]) == {"a", "b"} for process in measured)
    assert {process.raw["facts"]["a"]["threads"] for process in measured} == {1}


def test_outputs_are_checked_while_they_are_timed(measured: list[PairProcess]) -> None:
    assert sum(process.raw["checked"] for process in measured) > 0
    assert all(process.raw["mismatched"] == {"a": 0, "b": 0} for process in measured)


def test_the_orders_that_are_told_are_those_that_were_run(opened: Opened, engine: Engine, tmp_path: Path) -> None:
    """Seen from inside the runtime: who was loaded when, who answered when, and what it was asked."""
    shutil.copytree(engine.folder, tmp_path / "other")
    a = opened("watched")
    b = replace(a, folder=tmp_path / "other")
    names = {a.folder.name: "a", "other": "b"}

    (process,) = _measured(a, b, ["pair"], seed=3)
    done = json.loads((tmp_path / "watched.json").read_text())["done"]
    loads = [names[step["who"]] for step in done if step["did"] == "load"]
    runs = [(names[step["who"]], step["what"]) for step in done if step["did"] == "run"]
    timed = runs[-2 * PAIRS :]

    assert loads[0] == process.raw["loaded_first"]
    couples = ["".join(loads[place : place + 2]) for place in range(0, len(loads), 2)]
    assert couples in (["ab", "ba"] * 4, ["ba", "ab"] * 4)
    assert process.instances == 8
    assert [int(timed[2 * pair][0] == "a") for pair in range(PAIRS)] == process.raw["a_first"]
    assert all({timed[2 * pair][0], timed[2 * pair + 1][0]} == {"a", "b"} for pair in range(PAIRS))
    assert all(timed[2 * pair][1] == timed[2 * pair + 1][1] for pair in range(PAIRS))
    assert len({what for _, what in timed}) == 8
    warm = process.raw["warmup"]
    looked = 2 * 2  # whether they are so slow that each is loaded once
    assert len(runs) == looked + 2 * PAIRS + warm["a"]["iterations"] + warm["b"]["iterations"]


def test_a_control_loads_the_baseline_on_either_side(opened: Opened, engine: Engine, tmp_path: Path) -> None:
    shutil.copytree(engine.folder, tmp_path / "other")
    a = opened("watched")

    _measured(a, replace(a, folder=tmp_path / "other"), ["control"])
    done = json.loads((tmp_path / "watched.json").read_text())["done"]

    assert {step["who"] for step in done} == {a.folder.name}
    assert [step["did"] for step in done].count("load") == 2 * 8


@pytest.mark.parametrize(("side", "name"), [("a", "baseline"), ("b", "candidate")])
def test_outputs_that_change_while_they_are_timed_are_an_error(
    opened: Opened, engine: Engine, side: str, name: str
) -> None:
    drifting = opened("drifting")
    sides = (drifting, engine) if side == "a" else (engine, drifting)

    with pytest.raises(IntegrityError, match=f"the {name}'s outputs changed while it was timed"):
        _measured(*sides, ["pair"], protocol=replace(SHORT, min_pairs=200, max_pairs=200))


def test_a_drifting_baseline_is_not_taken_for_the_candidate_in_a_control(opened: Opened) -> None:
    with pytest.raises(IntegrityError, match="the baseline's outputs changed"):
        _measured(opened("drifting"), opened("drifting"), ["control"], protocol=replace(SHORT, min_pairs=200))


def test_the_timed_pairs_end_when_their_time_is_over(engine: Engine) -> None:
    (process,) = _measured(
        engine, engine, ["pair"], protocol=replace(SHORT, min_pairs=10**6, max_pairs=10**6, max_s=0.2)
    )

    assert 0 < len(process.a_s) == len(process.b_s) < 10**6


def test_cores_that_were_asked_for_are_the_only_ones_used(opened: Opened, tmp_path: Path) -> None:
    core = max(os.sched_getaffinity(0))

    _measured(opened("watched"), opened("watched"), ["pair"], protocol=replace(SHORT, affinity=(core,)))

    assert json.loads((tmp_path / "watched.json").read_text())["cores"] == [core]


def test_every_process_is_told_of(measured: list[PairProcess], ticker: _Ticker) -> None:
    assert ticker.told == [process.kind for process in measured]


def test_two_measurements_at_a_time_wait_for_each_other(opened: Opened, tmp_path: Path) -> None:
    watched = opened("watched")
    thread = threading.Thread(target=lambda: _measured(watched, watched, ["pair"]))
    with one_at_a_time():
        thread.start()
        time.sleep(1.0)
        assert not (tmp_path / "watched.json").exists()
        released = time.monotonic_ns()
    thread.join(timeout=60)

    first = json.loads((tmp_path / "watched.json").read_text())["done"][0]
    assert first["when"] >= released


@pytest.mark.parametrize(("megabytes", "count"), [(1, 8), (16, 8), (30, 4), (50, 2), (100, 1), (1000, 1)])
def test_large_models_are_loaded_less_often(megabytes: int, count: int) -> None:
    assert instances_for(megabytes << 20) == count


def test_offsets_of_instances_that_cancel_change_nothing() -> None:
    """Pair ``i`` is of the instances ``i % 2``: one is a tenth slower, the other a tenth faster."""
    process = replace(_process([1.0] * 9, [1.1, 1 / 1.1] * 4 + [1.1]), instances=2)
    assert process.median_change() == pytest.approx(0)
    assert process.quantile_change(0.9) == pytest.approx(0)


def _process(a_s: list[float], b_s: list[float]) -> PairProcess:
    state = MachineState(pressure=None, others=None, steal=None, load=None, mhz=None)
    return PairProcess(
        kind="pair", position=0, a_s=tuple(a_s), b_s=tuple(b_s), converged=True, state=state, apart=False, raw={}
    )  # fmt: skip


def test_the_change_of_a_process_is_the_median_of_its_pairs_ratios() -> None:
    """A moment that slows both sides of a pair alike changes nothing."""
    process = _process([1.0, 2.0, 100.0], [1.1, 2.2, 110.0])

    assert math.exp(process.median_change()) == pytest.approx(1.1)


def test_the_ninth_decile_is_each_sides_own() -> None:
    process = _process([1.0] * 8 + [2.0, 3.0], [1.0] * 8 + [4.0, 5.0])

    assert math.exp(process.quantile_change(0.9)) == pytest.approx(5 / 3)


def test_a_protocol_is_told_to_the_worker_whole() -> None:
    told: dict[str, Any] = PairProtocol(affinity=(0, 1), slow_b=0.1).to_json()

    assert told == json.loads(json.dumps(told))
    assert set(told) == set(PairProtocol.__dataclass_fields__)
    assert (told["affinity"], told["slow_b"]) == ([0, 1], 0.1)


def test_the_same_seed_draws_the_same_orders(engine: Engine, measured: list[PairProcess]) -> None:
    first = measured[0].raw
    request = {"a": engine.to_json(), "b": engine.to_json(), "seed": 7 * 1000, **SLOWED.to_json()}

    second = run_worker("benchmarks.workers.pair_worker", request)

    assert first["a_first"] == second["a_first"]
    assert first["loaded_first"] == second["loaded_first"]
