"""What disturbed a measurement while it ran."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import astuple

import pytest

from benchmarks.machine.disturbance import BUSY_OTHERS, MachineState, StateSampler
from benchmarks.machine.kernel_counters import cpu_times


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
    with StateSampler() as sampler:
        for process in [subprocess.Popen(_BUSY) for _ in range(os.cpu_count() or 1)]:
            process.wait()

    assert running.others is not None
    assert running.others > BUSY_OTHERS
    assert sampler.finished().others is not None
    # What else runs here meanwhile is others' in both; were children counted as such, there would be no difference.
    assert (sampler.finished().others or 0) < 0.9 * running.others


def test_a_state_is_read_back_as_it_was_written() -> None:
    state = _sampled(0.01)

    assert MachineState(**state.to_json()) == state
    assert len(astuple(state)) == 5


def test_a_stretch_of_time_that_failed_has_a_state_too() -> None:
    sampler = StateSampler()
    with pytest.raises(RuntimeError), sampler:
        raise RuntimeError

    assert sampler.finished() == sampler.state
