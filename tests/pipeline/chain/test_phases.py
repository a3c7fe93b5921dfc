"""Every second of a run is counted once, for the phase it belongs to."""

from __future__ import annotations

import time

import pytest

from pipeline.chain.phases import Phases


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which only goes on when a test says so."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_a_phase_within_another_is_told_beside_it(clock: list[float]) -> None:
    phases = Phases()
    with phases.during("outer"):
        clock[0] += 1
        with phases.during("inner"):
            clock[0] += 10
        clock[0] += 2
        with phases.during("inner"):
            clock[0] += 20
    with phases.during("outer"):
        clock[0] += 4

    assert phases.spent_s() == {"inner": 30, "outer": 7}


def test_a_whole_phase_takes_what_is_within_it(clock: list[float]) -> None:
    phases = Phases()
    with phases.during("before"), phases.during("search", whole=True):
        clock[0] += 1
        with phases.during("inner"):
            clock[0] += 10
            with phases.during("deeper", whole=True):
                clock[0] += 100
    with phases.during("inner"):
        clock[0] += 5

    assert phases.spent_s() == {"search": 111, "before": 0, "inner": 5}


def test_what_fails_took_its_time_too(clock: list[float]) -> None:
    phases = Phases()

    def fail() -> None:
        with phases.during("outer"), phases.during("search", whole=True):
            clock[0] += 3
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    with phases.during("after"):
        clock[0] += 1

    assert phases.spent_s() == {"search": 3, "outer": 0, "after": 1}


def test_all_time_since_the_start_is_told_also_what_is_in_no_phase(clock: list[float]) -> None:
    phases = Phases(before_s=3.0)
    clock[0] += 2
    with phases.during("work"):
        clock[0] += 10
    clock[0] += 1

    assert phases.spent_s() == {"starting up": 3, "work": 10, "everything else": 3}


def test_a_phase_can_stand_beside_one_that_takes_what_is_within_it(clock: list[float]) -> None:
    phases = Phases()
    with phases.during("search", whole=True):
        clock[0] += 1
        with phases.during("inner"):
            clock[0] += 10
        with phases.during("options", whole=True, apart=True):
            clock[0] += 100
            with phases.during("inner"):
                clock[0] += 1000

    assert phases.spent_s() == {"options": 1100, "search": 11}
