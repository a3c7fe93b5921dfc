"""What the kernel says of a process and a machine."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from benchmarks.machine import kernel_counters as process

needs_proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")

_ROUGH = 4 << 20
"""Recent kernels count pages on each core and add them up now and then."""


def _child(code: str) -> list[int]:
    """The numbers that a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


@needs_proc
def test_the_peak_is_at_least_what_is_resident() -> None:
    resident, peak = process.memory_status("VmRSS"), process.memory_status("VmHWM")

    assert resident is not None
    assert peak is not None
    assert 1 << 20 < resident <= peak + _ROUGH


@needs_proc
def test_memory_that_was_touched_is_resident_and_memory_given_back_stays_in_the_peak() -> None:
    before, held, after, peak = _child(
        "import numpy as np; from benchmarks.machine.kernel_counters import memory_status as m; print(m('VmRSS'))\n"
        "held = np.ones(64 << 20, np.uint8); print(m('VmRSS'))\n"
        "del held; print(m('VmRSS')); print(m('VmHWM'))"
    )

    assert held - before >= 60 << 20
    assert held - after >= 60 << 20
    assert peak >= held - _ROUGH


@needs_proc
def test_a_child_does_not_start_at_its_parents_size() -> None:
    ballast = np.ones(300 << 20, np.uint8)

    (peak,) = _child("from benchmarks.machine.kernel_counters import memory_status; print(memory_status('VmHWM'))")

    assert peak < ballast.nbytes


@needs_proc
def test_a_peak_that_was_reset_starts_again_from_what_is_resident() -> None:
    reset, before, after = _child(
        "import numpy as np; from benchmarks.machine.kernel_counters import memory_status as m, reset_peak\n"
        "held = np.ones(64 << 20, np.uint8); del held\n"
        "before = m('VmHWM'); print(int(reset_peak())); print(before); print(m('VmHWM'))"
    )
    if not reset:
        pytest.skip("this kernel does not let a process reset its peak")

    assert before - after >= 60 << 20


@needs_proc
def test_memory_with_shared_pages_divided_is_no_more_than_what_is_resident() -> None:
    shared, peak = process.proportional_status(), process.memory_status("VmHWM")

    assert shared is not None
    assert peak is not None
    assert 0 < shared <= peak


def test_a_field_that_the_kernel_does_not_know_is_none() -> None:
    assert process.memory_status("VmNothing") is None


@needs_proc
def test_losing_the_core_to_another_process_is_counted() -> None:
    """Two processes that never sleep share one core: either loses it many times."""
    (lost,) = _child(
        "import os, subprocess, sys, time\n"
        "from benchmarks.machine.kernel_counters import own_status\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "other = subprocess.Popen([sys.executable, '-c', 'while True: pass'])\n"
        "before, end = own_status(), time.monotonic() + 0.6\n"
        "while time.monotonic() < end: pass\n"
        "other.kill(); other.wait(); print(own_status() - before)"
    )

    assert lost > 0


def test_figures_of_the_machine_only_rise_or_are_not_told() -> None:
    pressure, times = process.cpu_pressure_us(), process.cpu_times()
    later_pressure, later_times = process.cpu_pressure_us(), process.cpu_times()

    assert pressure is None or pressure <= (later_pressure or 0)
    assert times is None or later_times is None or (0 <= times[0] <= times[2] <= later_times[2])
    assert times is None or later_times is None or (0 <= times[1] <= later_times[1] <= later_times[2])


def test_the_clock_is_one_a_processor_can_have_or_not_told() -> None:
    clock = process.clock_mhz()

    assert clock is None or 100 < clock < 10_000


STAT = """cpu  30 3 30 900 0 3 3 12 0 0
cpu0 10 1 10 300 0 1 1 4 0 0
cpu1 20 2 20 600 0 2 2 8 0 0
cpu10 100 0 0 100 0 0 0 0 0 0
intr 1 2 3
ctxt 5
"""


def test_the_ticks_of_the_cores_that_are_asked_for_are_added_up() -> None:
    assert process.cpu_times_of(STAT, {0}) == process.CpuTimes(stolen=4, busy=23, total=327, cores=1)
    assert process.cpu_times_of(STAT, {0, 1}) == process.CpuTimes(stolen=12, busy=69, total=981, cores=2)
    assert process.cpu_times_of(STAT, {10}) == process.CpuTimes(stolen=0, busy=100, total=200, cores=1)


def test_a_text_that_numbers_the_cores_anew_is_taken_as_a_whole() -> None:
    assert process.cpu_times_of(STAT, {0, 40}) == process.cpu_times_of(STAT, {0, 1, 10})


@needs_proc
def test_the_cores_are_those_this_process_may_run_on() -> None:
    asked, told = _child(
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from benchmarks.machine.kernel_counters import cpu_times; print(1); print(cpu_times().cores)"
    )

    assert told == asked
