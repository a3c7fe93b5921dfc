"""What is said of a goal of what is shipped."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from pipeline.planning.time_ratio import TimeRatio
from pipeline.recipe import GoalSection
from pipeline.runner import goal_report as module
from pipeline.runner.goal_report import goal_entry

if TYPE_CHECKING:
    import pytest

    from pipeline.chain.chain import Chain

OUTCOMES: Any = (SimpleNamespace(measured=object()),)


def _told(monkeypatch: pytest.MonkeyPatch, found: TimeRatio | float, **goal: Any) -> str:  # noqa: ANN401 - raw input
    recipe = SimpleNamespace(goal=GoalSection.model_validate(goal))
    chain = cast("Chain", SimpleNamespace(plan=SimpleNamespace(recipe=recipe)))
    monkeypatch.setattr(module, "_of_shipped", lambda *_: found)
    plan: Any = SimpleNamespace(
        precision="int8", networks=SimpleNamespace(tried=(SimpleNamespace(figures={"p50_s": 1}),))
    )
    entry = goal_entry(chain, cast("Any", None), OUTCOMES, plan)
    assert entry is not None
    return entry.sentence


def test_a_fraction_of_the_latency_is_told_with_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = TimeRatio(ratio=0.47, low=0.45, high=0.49)

    assert _told(monkeypatch, timed, latency="0.5x") == (
        "the goal is met: latency 0.47x of at most 0.5x; latency 0.45x to 0.49x side by side"
    )


def test_what_disturbed_the_machine_is_told_with_a_missed_goal(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = TimeRatio(ratio=0.6, low=0.5, high=0.7, unfit="other programs took 69 % of the cores' time")

    assert _told(monkeypatch, timed, latency="0.5x") == (
        "the goal is missed: latency 0.60x of at most 0.5x; latency 0.50x to 0.70x side by side, in doubt since other "
        "programs took 69 % of the cores' time"
    )


def test_what_is_counted_has_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _told(monkeypatch, 0.4, macs="0.5x") == "the goal is met: macs 0.40x of at most 0.5x"
