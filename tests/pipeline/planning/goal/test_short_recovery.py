"""On what, and for how long, ways to a goal recover before one is taken."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.data.dataset import Dataset, Sample
from pipeline.planning.goal.short_recovery import ShortRecoveries, _some_images
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
