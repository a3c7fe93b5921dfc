"""What disturbed a measurement while it ran."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import astuple

import pytest

from benchmarks.machine.disturbance import BUSY_PRESSURE, MachineState, StateSampler
from benchmarks.machine.kernel_counters import cpu_pressure_us


def _sampled(seconds: float) -> MachineState:
    with StateSampler() as sampler:
        time.sleep(seconds)
    return sampler.finished()


def test_shares_lie_between_none_and_all() -> None:
    state = _sampled(0.1)

    assert all(share is None or 0 <= share <= 1.2 for share in (state.pressure, state.steal))
    assert state.load is None or state.load >= 0


@pytest.mark.skipif(cpu_pressure_us() is None, reason="this kernel does not tell of pressure")
def test_processes_that_wait_for_one_core_are_seen() -> None:
    core = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    busy = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    try:
        time.sleep(0.3)
        state = _sampled(0.5)
    finally:
        for process in busy:
            process.kill()
            process.wait()

    assert (state.pressure or 0) > BUSY_PRESSURE


def test_a_state_is_read_back_as_it_was_written() -> None:
    state = _sampled(0.01)

    assert MachineState(**state.to_json()) == state
    assert len(astuple(state)) == 4


def test_a_stretch_of_time_that_failed_has_a_state_too() -> None:
    sampler = StateSampler()
    with pytest.raises(RuntimeError), sampler:
        raise RuntimeError

    assert sampler.finished() == sampler.state
