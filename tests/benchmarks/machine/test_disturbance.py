"""What disturbed a measurement while it ran."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Collection
from dataclasses import astuple
from typing import Any

import pytest

from benchmarks.machine import disturbance as module
from benchmarks.machine.disturbance import MachineState, StateSampler, disturbances
from benchmarks.machine.kernel_counters import cpu_times, cpu_times_of


def _sampled(seconds: float) -> MachineState:
    with StateSampler() as sampler:
        time.sleep(seconds)
    return sampler.finished()


def test_shares_lie_between_none_and_all() -> None:
    state = _sampled(0.1)

    assert all(share is None or 0 <= share <= 1.2 for share in (state.pressure, state.others, state.steal))
    assert state.load is None or state.load >= 0


_BUSY = [sys.executable, "-c", "import time; end = time.monotonic() + 0.7\nwhile time.monotonic() < end: pass"]


@pytest.mark.skipif(cpu_times() is None, reason="this kernel does not tell what its cores did")
def test_work_of_other_programs_is_told_from_that_of_children() -> None:
    busy = [subprocess.Popen(_BUSY) for _ in range(os.cpu_count() or 1)]
    running = _sampled(0.5)  # not waited for: as if others had started them
    for process in busy:
        process.wait()
    begun, before = time.monotonic(), os.times()
    with StateSampler() as sampler:
        for process in [subprocess.Popen(_BUSY) for _ in range(os.cpu_count() or 1)]:
            process.wait()
    after, available_s = os.times(), (time.monotonic() - begun) * running.cores
    children = (
        after.children_user + after.children_system - before.children_user - before.children_system
    ) / available_s

    assert running.others is not None
    assert running.is_busy
    assert running.cores == len(os.sched_getaffinity(0))
    assert sampler.finished().others is not None
    # Other programs may take all that children leave; were children counted as such, they would take more.
    assert (sampler.finished().others or 0) < 1 - children / 2


def test_a_state_is_read_back_as_it_was_written() -> None:
    state = _sampled(0.01)

    assert MachineState(**state.to_json()) == state
    assert len(astuple(state)) == 6


def test_a_stretch_of_time_that_failed_has_a_state_too() -> None:
    sampler = StateSampler()
    with pytest.raises(RuntimeError), sampler:
        raise RuntimeError

    assert sampler.finished() == sampler.state


_TICKS = 150
"""Of a core in a second and a half."""


def _stat(cores: int, busy: dict[int, float]) -> str:
    """``/proc/stat`` after that time, with so much of some cores at work."""
    at_work = [round(_TICKS * busy.get(core, 0.0)) for core in range(cores)]
    return "\n".join(f"cpu{core} {ticks} 0 0 {_TICKS - ticks} 0 0 0 0 0 0" for core, ticks in enumerate(at_work))


def _state(
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    busy: dict[int, float],
    usable: set[int] | None = None,
    timed_on: Collection[int] = (),
) -> MachineState:
    """The state of a made-up machine, of which this process took nothing."""
    boot = "\n".join(f"cpu{core} 0 0 0 0 0 0 0 0 0 0" for core in range(cores))
    texts = [boot, _stat(cores, busy)]
    asked = set(range(cores)) if usable is None else usable
    monkeypatch.setattr(module, "cpu_times", lambda on: cpu_times_of(texts.pop(0), set(on) or asked))
    monkeypatch.setattr(module, "_own_cpu_s", lambda: 0.0)
    with StateSampler(timed_on) as sampler:
        pass
    return sampler.finished()


@pytest.mark.parametrize("cores", [2, 16, 64])
def test_a_busy_loop_of_another_program_is_noticed_however_many_cores_there_are(
    monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    looping = _state(monkeypatch, cores, {1: 1.0})
    quiet = _state(monkeypatch, cores, {1: 0.15})

    assert (looping.cores, looping.is_busy, quiet.is_busy) == (cores, True, False)
    assert len(disturbances([looping] * 3)) == 1
    assert disturbances([quiet, looping, quiet]) == ()


@pytest.mark.parametrize(
    ("cores", "share", "is_busy"),
    [(2, 0.19, False), (2, 0.22, True), (16, 0.45, False), (16, 0.55, True), (64, 0.45, False), (64, 0.55, True)],
)
def test_two_cores_are_judged_at_a_tenth_of_them_and_many_at_half_of_one(
    monkeypatch: pytest.MonkeyPatch, cores: int, share: float, *, is_busy: bool
) -> None:
    assert _state(monkeypatch, cores, {0: share}).is_busy is is_busy


def test_what_runs_on_cores_that_this_process_may_not_use_is_no_disturbance(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = dict.fromkeys(range(2, 64), 1.0)

    assert not _state(monkeypatch, 64, elsewhere, usable={0, 1}).is_busy
    assert _state(monkeypatch, 64, elsewhere, usable={1, 2}).others == 0.5


def test_only_the_cores_on_which_something_is_timed_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = _state(monkeypatch, 4, {0: 1.0}, timed_on=[2, 3])
    beside = _state(monkeypatch, 4, {0: 0.2}, timed_on=[0])

    assert (elsewhere.others, elsewhere.is_busy, elsewhere.cores) == (0.0, False, 2)
    assert (beside.others, beside.is_busy, beside.cores) == (0.2, True, 1)


@pytest.mark.parametrize(
    ("others", "cores", "told"), [(0.69, 2, "69 %"), (0.0156, 64, "1.6 %"), (0.0625, 16, "6.2 %"), (1.0, 2, "100 %")]
)
def test_a_share_of_many_cores_is_told_with_a_decimal(others: float, cores: int, told: str) -> None:
    state = MachineState(pressure=None, others=others, steal=None, load=None, mhz=None, cores=cores)

    assert disturbances([state]) == (f"other programs took {told} of the cores' time",)


def test_a_device_that_was_hot_or_held_back_is_in_doubt() -> None:
    state = MachineState(pressure=None, others=0.0, steal=0.0, load=None, mhz=None, cores=4)
    steady = {"celsius": [40.0, None], "held_back": [], "governors": ["performance"]}

    assert disturbances([state], [steady, {}]) == ()
    slow = [{**steady, "held_back": ["it was throttled"]}, {**steady, "celsius": [70.0, 84.6]}]
    assert disturbances([state], slow) == (
        "it was throttled",
        "the device was 85 °C hot: its clocks may have been held back",
    )


def test_a_state_that_was_kept_without_its_cores_is_judged_at_a_tenth() -> None:
    kept: dict[str, Any] = {"pressure": 0.0, "steal": 0.0, "load": 0.0, "mhz": None}

    assert not MachineState(others=0.09, **kept).is_busy
    assert MachineState(others=0.11, **kept).is_busy
