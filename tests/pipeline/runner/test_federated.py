"""Federated distillation: two owners of images of their own share answers about others, never a network."""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.data.digits import write_digits
from pipeline.progress import SilentProgress
from pipeline.recipe import Recipe
from pipeline.runner.deploy import finished
from pipeline.runner.write_answers_file import write_answers_file
from pipeline.store import Store

if TYPE_CHECKING:
    from pathlib import Path

_HALF = 200
"""Images that an owner has: few, so that there is something to gain."""

_NET = """
    from torch import nn


    def net(num_classes):
        def layer(channels, out, stride):
            return (nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU())

        return nn.Sequential(
            *layer(3, 16, 1), *layer(16, 32, 2), *layer(32, 64, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(64, num_classes),
        )
"""


def _chain(store: Store, **fields: Any) -> Chain:  # noqa: ANN401 - raw input
    recipe = Recipe.model_validate(
        {
            "input": {"size": 16, "resize": "squash", "mean": 0.5, "std": 0.5},
            "skip": ["prune"],
            "build": {"precision": "float", "budget_s": 0},
            "measure": {"processes": 1, "iterations": 12},
            **fields,
        }
    )
    return Chain(make_plan(recipe, store, SilentProgress()), store, SilentProgress(), lambda _: None)


def _halves(folder: Path) -> tuple[Path, Path, Path]:
    """Each owner's images, and those that all have, which neither was trained on."""
    digits = write_digits(folder, SilentProgress())
    images = sorted((digits / "train").rglob("*.png"), key=lambda path: path.name)
    parts = {"first": images[:_HALF], "second": images[_HALF : 2 * _HALF], "common": images[2 * _HALF :]}
    assert len(parts["common"]) > _HALF
    assert not {path.name for path in parts["common"]} & {path.name for path in (*parts["first"], *parts["second"])}
    for name, chosen in parts.items():
        for image in chosen:
            place = folder / name / "train" / image.parent.name
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(image, place)
        for split in ("calibration", "test"):
            shutil.copytree(digits / split, folder / name / split)
    return folder / "first", folder / "second", folder / "common"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_student_of_two_owners_is_better_than_either(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(textwrap.dedent(_NET), encoding="utf-8")
    *owned, common = _halves(tmp_path)
    store, model, shared, owners = Store(tmp_path / "store"), f"{file}:net", [], []
    for number, images in enumerate(owned):
        schedule = {"epochs": 20, "learning_rate": 5e-3}
        own = _chain(store, model=model, data={"source": str(images)}, baseline={"schedule": schedule}, seed=number)
        network = own.execute(own.plan.recipe.baseline, {}).artifact
        owners.append(own.measured(network, own.plan.targets[0]).accuracy.value)
        weights = str(network.root / "weights.safetensors")
        shared.append(tmp_path / f"{number}.safetensors")
        write_answers_file(_chain(store, model=model, weights=weights, data={"source": str(common)}), shared[-1])

    student = _chain(
        store,
        model=model,
        data={"source": str(common)},
        baseline={"schedule": {"epochs": 1}},
        distill={
            "teachers": [str(file) for file in shared],
            "weight": 1.0,  # from answers alone: the labels of the common images are nobody's
            "schedule": {"epochs": 20, "learning_rate": 5e-3, "augment": []},
        },
    )
    (made,) = finished(student)
    learned = next(one.measured for one in made.made.outcomes if one.result.stage == "distill")
    assert learned is not None
    told = [f"{100 * value:.2f} %" for value in (*owners, learned.accuracy.value)]
    print("owners", *told[:2], "student", told[2], f"of {learned.accuracy.n} test images")  # noqa: T201 - for the docs
    assert learned.accuracy.value > max(owners) + 0.005
    assert learned.accuracy.calibration_error is not None
