"""The record of a search: the time it took is its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from pipeline.planning import trials
from pipeline.planning.trials import Trials

if TYPE_CHECKING:
    import pytest

    from benchmarks.workers.workplace import Workplace


def test_waiting_for_others_is_not_of_the_time_for_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, place = [1000.0], SimpleNamespace(waited_s=7.0)
    monkeypatch.setattr(trials.time, "monotonic", lambda: now_s[0])
    found = Trials("forms", {}, cast("Workplace", place))
    now_s[0] += 100.0
    place.waited_s += 90.0
    assert found.spent_s == 10.0
    assert found.choice("float", "a test").spent_s == 10.0
