"""This machine as a place to measure: what others took of the time is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.workers import workplace
from benchmarks.workers.workplace import HERE

if TYPE_CHECKING:
    import pytest


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
