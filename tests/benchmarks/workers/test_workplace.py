"""This machine as a place to measure: what others took of the time is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.machine.disturbance import StateSampler
from benchmarks.workers import workplace
from benchmarks.workers.workplace import HERE

if TYPE_CHECKING:
    from collections.abc import Collection


def test_waiting_for_the_turn_is_counted_and_the_turn_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]

    @contextmanager
    def after_others() -> Iterator[None]:
        now_s[0] += 30.0
        yield

    monkeypatch.setattr(workplace, "one_at_a_time", after_others)
    monkeypatch.setattr(workplace.time, "monotonic", lambda: now_s[0])
    before_s = HERE.waited_s
    with HERE.one_at_a_time():
        now_s[0] += 5.0
    assert HERE.waited_s - before_s == 30.0


@pytest.mark.parametrize("affinity", [[], [0]])
def test_what_others_took_is_told_of_the_cores_that_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, affinity: list[int]
) -> None:
    looked_at: list[Collection[int]] = []

    def sampler(cores: Collection[int]) -> StateSampler:
        looked_at.append(cores)
        return StateSampler(cores)

    monkeypatch.setattr(workplace, "StateSampler", sampler)
    monkeypatch.setattr(workplace, "run_worker", lambda *_, **__: {})
    engine: Any = SimpleNamespace(to_json=dict)
    HERE.timed(engine, {"affinity": affinity})
    HERE.side_by_side(engine, engine, {"affinity": affinity}, apart=False)

    assert looked_at == [affinity, affinity]
