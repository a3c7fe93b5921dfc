"""On what, and for how long, ways to a goal recover before one is taken."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.chain.phases import Phases
from pipeline.data.dataset import Dataset, Sample
from pipeline.planning.goal import short_recovery
from pipeline.planning.goal.outline import Outline
from pipeline.planning.goal.short_recovery import ShortRecoveries, Way, _some_images
from pipeline.progress import SilentProgress
from pipeline.recipe import Recipe


def _dataset(count: int) -> Dataset:
    samples: Any = tuple(
        Sample(path=None, name=f"{number}", label=number % 2, sha256=f"{number}")  # type: ignore[arg-type]
        for number in range(count)
    )
    return Dataset(
        name="some", task="classification", train=samples, calibration=samples, test=samples, classes=("a", "b")
    )


@pytest.mark.parametrize(("count", "trained", "judged"), [(1, 1, 1), (2, 1, 1), (10, 7, 3), (4000, 1024, 512)])
def test_some_images_are_trained_on_and_others_judge(count: int, trained: int, judged: int) -> None:
    found = _some_images(_dataset(count))

    assert (len(found.train), len(found.validation)) == (trained, judged)
    assert count == 1 or not {one.name for one in found.train} & {one.name for one in found.validation}


@pytest.mark.parametrize(("epochs", "told"), [(10, "4 epochs"), (1, "1 epoch "), (2, "2 epochs")])
def test_it_takes_no_longer_than_the_recovery_that_is_asked_for(epochs: int, told: str) -> None:
    recipe = Recipe.model_validate({"model": "resnet18", "prune": {"schedule": {"epochs": epochs}}})
    chain: Any = SimpleNamespace(plan=SimpleNamespace(recipe=recipe, size_is_open=False, skipped={}))
    network: Any = None
    choice = ShortRecoveries(chain, network, {})._trials.choice("", "")
    assert f"after {told}".strip() in choice.among


def _way(side: int) -> Way:
    return Way(outline=Outline(size=(side, side), groups=(), layers=(), round_to=8), kept={})


def test_another_way_than_the_best_is_told_as_such_and_only_what_was_recovered_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The metric is that of the task: of a detector it is no share of images."""
    recipe = Recipe.model_validate({"model": "resnet18"})
    parts = SimpleNamespace(task=SimpleNamespace(metric="AP"))
    plan = SimpleNamespace(recipe=recipe, size_is_open=True, skipped={}, parts=parts)
    chain: Any = SimpleNamespace(plan=plan, progress=SilentProgress(), phases=Phases())
    network: Any = None
    comes_back_to = {32: 0.5, 24: 0.75, 16: 0.25}
    monkeypatch.setattr(ShortRecoveries, "_recovered", lambda _, way: (comes_back_to[way.outline.size[0]], 1.0))
    recoveries = ShortRecoveries(chain, network, {})
    assert recoveries.best([_way(32), _way(24)]) == _way(24)
    assert (recoveries.accuracy(_way(32)), recoveries.accuracy(_way(16))) == (0.5, None)

    best, other = (recoveries.choice(_way(side)) for side in (24, 16))
    assert best is not None
    assert other is not None
    told = "24x24 comes back to most, 75.00 % AP on images it was not shown"
    assert (best.chosen, best.reason) == ("24x24", told)
    assert other.chosen == "16x16"
    assert other.reason == f"{told}; as no plan for it was measured to hold the goal, 16x16 is taken"
    assert {one.label: one.outcome for one in other.tried} == {
        "32x32": "comes back to less",
        "24x24": "comes back to most, but no plan for it was measured to hold the goal",
        "16x16": "taken, since it was measured to hold the goal",
    }


def test_what_was_not_planned_for_is_not_told_as_what_came_back_to_most(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = SimpleNamespace(task=SimpleNamespace(metric="AP"))
    plan = SimpleNamespace(recipe=Recipe(model="resnet18"), size_is_open=True, skipped={}, parts=parts)
    chain: Any = SimpleNamespace(plan=plan, progress=SilentProgress(), phases=Phases())
    monkeypatch.setattr(ShortRecoveries, "_recovered", lambda _, way: (way.outline.size[0] / 100, 1.0))
    network: Any = None
    recoveries = ShortRecoveries(chain, network, {})
    recoveries.best([_way(32), _way(24)])
    found = recoveries.choice(_way(32), short_recovery.NO_PLAN_HELD)
    assert found is not None
    assert found.reason.endswith("something else of that size and depth is taken that was measured to hold it")
    assert "taken" not in {one.outcome for one in found.tried}


def test_ways_learn_from_the_network_itself_whoever_teaches_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    taught = {"teachers": "all", "weighting": [1.0, 2.0]}
    recipe = Recipe.model_validate({"model": "resnet18", "prune": taught, "downsample": taught})
    parts = SimpleNamespace(dataset=_dataset(10), preprocess=SimpleNamespace(size=(32, 32), at=lambda size: size))
    executed: list[Any] = []
    chain = _Executed(executed, SimpleNamespace(recipe=recipe, size_is_open=True, skipped={}, parts=parts))
    monkeypatch.setattr(short_recovery, "replace", lambda parts, **_: parts)
    monkeypatch.setattr(short_recovery, "_judged", lambda *_: (0.5, 1.0))
    anything: Any = None
    way = replace(_way(24), outline=replace(_way(24).outline, gone=("layer1.1",)))

    ShortRecoveries(cast("Any", chain), anything, {})._recovered(way)

    assert [stage.name for stage in executed] == ["downsample", "prune"]
    assert {(stage.teachers, stage.weighting) for stage in executed} == {("itself", "uniform")}


@pytest.mark.parametrize(("asked", "alone", "each"), [(1, 2, 1), (2, 2, 1), (3, 2, 1), (9, 4, 2)])
def test_every_way_is_recovered_for_as_many_epochs(
    monkeypatch: pytest.MonkeyPatch, asked: int, alone: int, each: int
) -> None:
    own = {"schedule": {"epochs": asked}}
    recipe = Recipe.model_validate({"model": "resnet18", "prune": own, "downsample": own})
    parts = SimpleNamespace(dataset=_dataset(10), preprocess=SimpleNamespace(size=(32, 32), at=lambda size: size))
    monkeypatch.setattr(short_recovery, "replace", lambda parts, **_: parts)
    monkeypatch.setattr(short_recovery, "_judged", lambda *_: (0.5, 1.0))
    anything: Any = None
    found = []
    for way in (_way(24), replace(_way(24), outline=replace(_way(24).outline, gone=("layer1.1",)))):
        executed: list[Any] = []
        chain = _Executed(executed, SimpleNamespace(recipe=recipe, size_is_open=True, skipped={}, parts=parts))
        ShortRecoveries(cast("Any", chain), anything, {})._recovered(way)
        found.append([stage.schedule.epochs for stage in executed])

    assert found == [[alone], [each, each]]


class _Executed:
    """A chain that remembers its stages."""

    def __init__(self, executed: list[Any], plan: object) -> None:
        self.executed, self.plan = executed, plan

    def about(self, _: object) -> _Executed:
        return self

    fed = about

    def execute(self, stage: Any, _: object) -> Any:  # noqa: ANN401 - a stage, and its result
        self.executed.append(stage)
        return SimpleNamespace(artifact=None)
