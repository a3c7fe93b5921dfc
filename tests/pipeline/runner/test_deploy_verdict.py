"""The report's first line: what it says of accuracy, time and size, and when it is OK."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.recipe import GoalSection
from pipeline.report.goal_record import GoalEntry
from pipeline.runner.deploy_verdict import deploy_verdict
from pipeline.runner.speedup import Speedup
from pipeline.tasks import Accuracy
from pipeline.tasks.classification import Classification

if TYPE_CHECKING:
    from pipeline.report.record import Verdict


def _outcome(stage: str, accuracy: float, size_bytes: int, precision: str) -> Any:  # noqa: ANN401 - an Outcome
    found = Accuracy(metric="top1", value=accuracy, n=100, per_image=(), decisions=())
    artifact = SimpleNamespace(facts={"precision": precision})
    return SimpleNamespace(
        measured=SimpleNamespace(accuracy=found, size_bytes=size_bytes),
        result=SimpleNamespace(stage=stage, artifact=artifact, notes=("float is shipped: a test",)),
    )


def _verdict(
    speedup: Speedup,
    *,
    accuracy: tuple[float, float] = (0.9, 0.9),
    size: tuple[int, int] = (2000, 1000),
    precision: str = "int8",
    goal: GoalEntry | None = None,
) -> Verdict:
    recipe = SimpleNamespace(goal=GoalSection())
    plan: Any = SimpleNamespace(recipe=recipe, parts=SimpleNamespace(task=Classification()))
    stages = ("baseline", "calibrate", "build")
    values = zip(stages, (accuracy[0], *accuracy), (size[0], *size), strict=True)
    return deploy_verdict(plan, [_outcome(*one, precision) for one in values], speedup, goal)


def test_what_is_faster_and_as_accurate_is_ok() -> None:
    found = _verdict(Speedup(ratio=2.1, low=2.04, high=2.17))

    assert found.status == "ok"
    assert found.sentence == (
        "OK int8: 2.10x faster at p50 (2.04 to 2.17 side by side), 2.0x smaller, no accuracy lost (90.00 % top1)"
    )


def test_what_is_slower_with_its_whole_interval_is_missed_and_said_to_be_slower() -> None:
    found = _verdict(Speedup(ratio=0.8, low=0.75, high=0.85))

    assert found.status == "missed"
    assert found.sentence.startswith(
        "MISSED int8: slower than the baseline, 1.25x slower at p50 (1.18 to 1.33 side by side), "
    )
    assert (found.speedup, found.speedup_low, found.speedup_high) == (0.8, 0.75, 0.85)


@pytest.mark.parametrize(
    "speedup",
    [
        Speedup(ratio=0.98, low=0.95, high=1.01),
        Speedup(ratio=None, unfit="other programs took 69 % of the cores' time"),
        Speedup(ratio=1.0, low=1.0, high=1.0),
    ],
)
def test_what_is_not_known_to_be_slower_is_ok(speedup: Speedup) -> None:
    found = _verdict(speedup)

    assert found.status == "ok"
    assert "slower than the baseline" not in found.sentence


def test_what_loses_more_than_it_may_is_missed_however_fast() -> None:
    found = _verdict(Speedup(ratio=2.1, low=2.04, high=2.17), accuracy=(0.9, 0.8))

    assert (found.status, found.sentence.split(":")[0]) == ("missed", "MISSED int8")
    assert "10 points lost" in found.sentence


def test_what_misses_its_goal_is_missed_and_says_so() -> None:
    goal = GoalEntry(asked={"macs": "2M"}, met=False, sentence="the goal is missed: macs 3.00 M of at most 2M")
    found = _verdict(Speedup(ratio=2.1, low=2.04, high=2.17), goal=goal)

    assert found.status == "missed"
    assert found.sentence.startswith("MISSED int8: 2.10x faster")
    assert found.sentence.endswith("no accuracy lost (90.00 % top1); the goal is missed")


def test_a_machine_that_was_unfit_is_named_in_place_of_a_figure() -> None:
    found = _verdict(Speedup(ratio=None, unfit="other programs took 69 % of the cores' time"), precision="float")

    assert found.sentence == (
        "OK float: how much faster could not be told: other programs took 69 % of the cores' time, 2.0x smaller, "
        "no accuracy lost (90.00 % top1) (float is shipped: a test)"
    )


@pytest.mark.parametrize(
    ("size", "text"), [((4460, 4490), "about as large"), ((1000, 2000), "2.0x larger"), ((7, 7), "as large")]
)
def test_the_word_for_the_size_fits(size: tuple[int, int], text: str) -> None:
    assert (
        f" side by side), {text}, no accuracy lost"
        in _verdict(Speedup(ratio=2.1, low=2.0, high=2.2), size=size).sentence
    )


def test_the_baselines_own_engine_is_told_as_such() -> None:
    found = _verdict(Speedup(ratio=1.0, low=1.0, high=1.0), size=(7, 7), precision="float")

    assert found.sentence.startswith("OK float: the same engine as the baseline, as large, no accuracy lost ")
