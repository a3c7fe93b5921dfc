"""One engine alone: raw samples, cold start apart, memory by phase, and nothing said that was not measured."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.engine import Engine
from benchmarks.machine.disturbance import MachineState
from benchmarks.solo import Profile, SoloRecord, _check_integrity, measure_solo
from pipeline.errors import IntegrityError
from pipeline.progress import SilentProgress

Opened = Callable[[str], Engine]

ITERATIONS = 70
SHORT = Profile(processes=2, iterations=ITERATIONS, min_iterations=64, max_s=5.0, warmup_s=0.0, warmup_limit=40)
QUIET = MachineState(pressure=0.0, others=0.0, steal=0.0, load=0.0, mhz=None)


def _measured(engine: Engine, profile: Profile = SHORT, **options: Any) -> SoloRecord:  # noqa: ANN401 - passed on
    return measure_solo(engine, profile, SilentProgress(), **options)


@pytest.fixture(scope="module")
def record(engine: Engine) -> SoloRecord:
    return _measured(engine)


def _record(*processes: dict[str, Any], states: tuple[MachineState, ...] = (QUIET,)) -> SoloRecord:
    known = {"samples_ns": [10**6] * 20, "warmup": {"converged": True}, "memory_bytes": {}}
    return SoloRecord(
        processes=tuple({**known, **process} for process in processes), states=states, profile=SHORT, affinity=()
    )


def test_every_process_gives_the_samples_that_were_asked_for_and_all_are_kept(record: SoloRecord) -> None:
    assert [len(process["samples_ns"]) for process in record.processes] == [ITERATIONS] * 2
    assert len(record.samples_s()) == record.latency()[0]["n"] == 2 * ITERATIONS
    assert len(record.states) == 2


def test_percentiles_with_enough_samples_are_given_in_order(record: SoloRecord) -> None:
    values, _ = record.latency()
    p50, p90, p95 = (values[name] or 0 for name in ("p50", "p90", "p95"))

    assert 0 < min(record.samples_s()) <= p50 <= p90 <= p95 <= max(record.samples_s())


def test_a_percentile_without_enough_samples_is_withheld_with_the_reason(record: SoloRecord) -> None:
    values, reasons = record.latency()

    assert values["p99"] is None
    assert reasons == [f"p99 withheld: {2 * ITERATIONS} samples, 662 are needed"]


def test_cold_start_is_told_apart_from_latency(record: SoloRecord) -> None:
    for process in record.processes:
        assert process["import_ns"] > max(process["samples_ns"])
        assert process["load_ns"] > 0
        assert process["first_ns"] > 0
        assert process["load_ns"] not in process["samples_ns"]


def test_memory_rises_from_phase_to_phase(record: SoloRecord) -> None:
    found, reasons = record.memory_bytes()
    imported, load, run, peak = (found[phase] or 0 for phase in ("import", "load", "run", "peak"))

    assert reasons == []
    assert 0 < imported <= load <= run <= peak
    assert imported < peak


def test_memory_is_that_of_the_worker_and_not_of_who_started_it(engine: Engine) -> None:
    """What a large parent holds is in ``ru_maxrss`` of its child; it is in none of these figures."""
    ballast = np.ones(200 << 20, np.uint8)
    found, _ = _measured(engine, replace(SHORT, processes=1)).memory_bytes()

    assert 0 < (found["peak"] or 0) < ballast.nbytes


def test_warm_up_is_recorded(record: SoloRecord) -> None:
    assert all(process["warmup"]["iterations"] >= 40 for process in record.processes)
    assert {process["inputs"] for process in record.processes} == {8}
    assert all(process["checked"] >= process["mismatched"] == 0 for process in record.processes)


def test_what_is_in_force_is_recorded(record: SoloRecord) -> None:
    facts = record.processes[0]["facts"]

    assert (facts["threads"], facts["spinning"], facts["arena"]) == (1, False, True)
    assert facts["providers"] == ["CPUExecutionProvider"]


def test_threads_and_cores_that_were_asked_for_are_in_force(opened: Opened, tmp_path: Path) -> None:
    core = max(os.sched_getaffinity(0))
    engine = opened("watched")
    spec = replace(engine.spec, options={**engine.spec.options, "threads": 2, "spinning": True, "arena": False})

    record = _measured(replace(engine, spec=spec), replace(SHORT, processes=1), affinity=(core,))
    seen = json.loads((tmp_path / "watched.json").read_text())

    assert seen["cores"] == [core]
    assert record.affinity == (core,)
    facts = record.processes[0]["facts"]
    assert (facts["threads"], facts["spinning"], facts["arena"]) == (2, True, False)


def test_the_timed_inferences_go_round_all_inputs_evenly(opened: Opened, tmp_path: Path) -> None:
    record = _measured(opened("watched"), replace(SHORT, processes=1))
    runs = [step["what"] for step in json.loads((tmp_path / "watched.json").read_text())["done"] if "what" in step]
    rounds = len(record.processes[0]["repeated_ns"])
    timed = runs[-3 * rounds - ITERATIONS : -3 * rounds]

    assert all(sorted(timed[turn : turn + 8]) == list(range(8)) for turn in range(0, 64, 8))
    assert timed[:8] != timed[8:16]


def test_an_input_that_was_just_asked_is_timed_beside_one_that_was_not(opened: Opened, tmp_path: Path) -> None:
    record = _measured(opened("watched"), replace(SHORT, processes=1))
    runs = [step["what"] for step in json.loads((tmp_path / "watched.json").read_text())["done"] if "what" in step]
    (process,) = record.processes
    rounds = [runs[start : start + 3] for start in range(len(runs) - 3 * 32, len(runs), 3)]

    assert len(process["fresh_ns"]) == len(process["repeated_ns"]) == 32
    assert all(first == second == 0 != third for first, second, third in rounds)


def test_a_slow_engine_gives_the_least_number_of_samples_when_its_time_is_over(engine: Engine) -> None:
    profile = replace(SHORT, processes=1, iterations=10**6, min_iterations=100, max_s=0.0)

    assert len(_measured(engine, profile).samples_s()) == 100


def test_outputs_that_change_while_they_are_timed_are_an_error(opened: Opened) -> None:
    with pytest.raises(IntegrityError, match="the engine's outputs changed while it was timed") as raised:
        _measured(opened("drifting"), replace(SHORT, processes=1, iterations=200))

    assert "checked outputs differ from the first answer to the same input" in str(raised.value)


def test_answers_that_are_remembered_are_an_error(opened: Opened) -> None:
    with pytest.raises(IntegrityError, match="answers seem to be remembered"):
        _measured(opened("remembering"), replace(SHORT, processes=1, iterations=64))


def test_a_machine_that_disturbs_most_inferences_makes_no_remembered_answers(record: SoloRecord) -> None:
    (process, *_) = record.processes
    rounds = len(process["fresh_ns"])

    def look(times: dict[str, list[int]], *further: dict[str, list[int]]) -> None:
        processes = ({**process, **times},)
        _check_integrity(replace(record, processes=processes), Path("engine"), [{**process, **one} for one in further])

    disturbed = {"fresh_ns": [9_000] * (rounds - 1) + [3_000], "repeated_ns": [2_900] * rounds}
    look(disturbed)

    out_of_caches = {"fresh_ns": [30_000] * rounds, "repeated_ns": [14_000] * rounds}  # seen beside other work
    look(out_of_caches)

    large = {"fresh_ns": [300_000] * rounds, "repeated_ns": [140_000] * rounds}
    with pytest.raises(IntegrityError, match=r"got: 2\.1x faster"):
        look(large)

    remembered = {**disturbed, "repeated_ns": [400] * rounds}
    with pytest.raises(IntegrityError, match="answers seem to be remembered"):
        look(remembered)


def test_answers_are_remembered_where_later_processes_say_so_too(record: SoloRecord) -> None:
    (process, *_) = record.processes
    rounds = len(process["fresh_ns"])
    sound = {**process, "fresh_ns": [20_000] * rounds, "repeated_ns": [20_000] * rounds}
    disturbed = {**sound, "fresh_ns": [90_000] * rounds}  # for as long as the whole comparison takes
    measured = replace(record, processes=(disturbed,))

    asked = iter([disturbed, sound, disturbed])
    _check_integrity(measured, Path("engine"), asked)
    assert list(asked) == [disturbed]  # no more were asked for than it took
    with pytest.raises(IntegrityError, match="answers seem to be remembered"):
        _check_integrity(measured, Path("engine"), [disturbed, disturbed])


def test_a_record_is_read_back_as_it_was_written(record: SoloRecord) -> None:
    assert SoloRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


@pytest.mark.parametrize("schema", [None, "edgewright.measurement/0"])
def test_a_record_of_another_schema_is_refused(record: SoloRecord, schema: str | None) -> None:
    with pytest.raises(IntegrityError, match="not a measurement"):
        SoloRecord.from_json({**record.to_json(), "schema": schema})


@pytest.mark.parametrize(
    ("process", "state", "warning"),
    [
        ({"warmup": {"converged": False}}, QUIET, "warm-up did not settle: the machine was busy"),
        ({}, replace(QUIET, others=0.3), "other programs took 30 % of the cores' time: the machine was busy"),
        ({}, replace(QUIET, steal=0.07), "the hypervisor took 7 % of the time"),
    ],
)
def test_what_makes_figures_doubtful_is_said(process: dict[str, Any], state: MachineState, warning: str) -> None:
    assert _record({}, process, states=(QUIET, state)).warnings() == [warning]


def test_a_quiet_machine_or_one_that_tells_nothing_is_no_reason_for_doubt() -> None:
    silent = MachineState(pressure=None, others=None, steal=None, load=None, mhz=None)

    assert _record({}, {}, states=(QUIET, silent)).warnings() == []


def test_memory_that_a_system_does_not_tell_is_null_with_the_reason() -> None:
    known = {"import": 10, "load": 20, "run": 30, "peak": 40}

    found, reasons = _record({"memory_bytes": known}, {"memory_bytes": {**known, "peak": None}}).memory_bytes()

    assert found == {"import": 10, "load": 20, "run": 30, "peak": None}
    assert reasons == ["memory is not told by this system"]
