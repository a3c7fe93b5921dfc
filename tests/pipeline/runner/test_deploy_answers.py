"""Networks of one channel, of one number for two classes, and of probabilities, through the whole chain."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from edgewright import Bundle
from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.errors import UsageError
from pipeline.progress import SilentProgress
from pipeline.recipe import Recipe
from pipeline.runner.deploy import deploy
from pipeline.runner.explain import explain
from pipeline.store import Store

if TYPE_CHECKING:
    from pipeline.runner.publish import Deployed

pytestmark = pytest.mark.usefixtures("given_speedup", "scored_here")

NETWORKS = """
    import torch
    from torch import nn


    def _body(channels, outputs, *ending):
        return nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, outputs), *ending,
        )


    def gray_logit():
        return _body(1, 1)


    def gray_probability():
        return _body(1, 1, nn.Sigmoid(), nn.Flatten(0))


    def softmax(num_classes):
        return _body(3, num_classes, nn.Softmax(dim=1))
"""


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nets") / "nets.py"
    path.write_text(textwrap.dedent(NETWORKS), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def surfaces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gray pictures as of an inspection camera: good ones are smooth, faulty ones have a dark spot."""
    root, generator = tmp_path_factory.mktemp("surfaces"), np.random.default_rng(0)
    for split, count in (("train", 60), ("val", 30)):
        for name in ("faulty", "good"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(140, 180, (16, 16))
                if name == "faulty":
                    row, column = generator.integers(0, 8, 2)
                    pixels[row : row + 8, column : column + 8] -= 120
                Image.fromarray(pixels.astype(np.uint8)).save(root / split / name / f"{number}.png")
    return root


def _deployed(store: Store, out: Path, **fields: Any) -> tuple[Chain, Deployed]:  # noqa: ANN401 - raw input
    once = {"epochs": 10, "batch_size": 16, "learning_rate": 1e-2}
    recipe = Recipe.model_validate(
        {
            "weights": "none",
            "input": {"size": 16, "resize": "squash", "mean": 0.5, "std": 0.25, **fields.pop("input", {})},
            "baseline": {"schedule": once},
            "distill": {"teachers": [fields["model"]], "schedule": once, "teacher_schedule": once},
            "prune": {"schedule": once},
            "build": {"precision": "int8", "budget_s": 0},
            "measure": {"processes": 1, "iterations": 12},
            **fields,
        }
    )
    chain = Chain(make_plan(recipe, store, SilentProgress()), store, SilentProgress(), lambda _: None)
    (deployed,) = deploy(chain, out=out)
    return chain, deployed


def _asked(bundle: Path, image: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(bundle / "run.py"), "--json", str(image)], capture_output=True, text=True, check=True
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.slow
def test_a_gray_network_of_one_logit_is_pruned(nets: Path, surfaces: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    chain, deployed = _deployed(
        store,
        tmp_path / "out",
        model=f"{nets}:gray_logit",
        data={"source": str(surfaces)},
        input={"channels": "gray"},
        skip=("distill",),
    )

    ran = [row for row in deployed.report.stages if row.status != "skipped"]
    assert [row.name for row in ran if (row.accuracy.value or 0) < 0.9] == []
    assert "prune" in [row.name for row in ran]
    _check_bundle(tmp_path / "out", deployed, surfaces, shape=[1, 1, 16, 16], answers="logits")
    told = explain(make_plan(chain.plan.recipe, store, SilentProgress()), store)
    assert {one.stage for one in told if one.status != "cached"} == {"distill"}


def test_a_gray_network_of_one_probability_takes_bytes(nets: Path, surfaces: Path, tmp_path: Path) -> None:
    _, deployed = _deployed(
        Store(tmp_path / "store"),
        tmp_path / "out",
        model=f"{nets}:gray_probability",
        data={"source": str(surfaces)},
        input={"channels": "gray"},
        skip=("distill", "prune"),
        build={"precision": "int8", "budget_s": 0, "input": "uint8"},
    )

    _check_bundle(tmp_path / "out", deployed, surfaces, shape=[1, 16, 16, 1], answers="probabilities")
    assert "<title>nets.py:gray_probability" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "the bytes of a gray image" in (tmp_path / "out" / "bundle" / "README.md").read_text(encoding="utf-8")


def _check_bundle(out: Path, deployed: Deployed, surfaces: Path, *, shape: list[int], answers: str) -> None:
    """Its script and its object give the same answer to a faulty surface, a share for each of the two classes."""
    assert any("taken as that of 'good'" in warning for warning in deployed.report.warnings)
    image = next((surfaces / "val" / "faulty").iterdir())
    told = _asked(out / "bundle", image)
    assert told["top"][0]["class"] == "faulty"
    assert told["top"][0]["probability"] > 0.5
    assert sum(one["probability"] for one in told["top"]) == pytest.approx(1)
    with Bundle.open(out / "bundle") as bundle:
        assert bundle.manifest["engine"]["input"]["shape"] == shape
        assert bundle.manifest["answers"] == answers
        found = [one.probability for one in bundle.run(image)]
    assert found == pytest.approx([one["probability"] for one in told["top"]])


@pytest.mark.usefixtures("quick_publishing")
def test_a_network_that_ends_in_softmax_learns_and_its_bundle_gives_its_probabilities(
    nets: Path, tiny_data: Path, tmp_path: Path
) -> None:
    _, deployed = _deployed(
        Store(tmp_path / "store"),
        tmp_path / "out",
        model=f"{nets}:softmax",
        data={"source": str(tiny_data)},
        skip=("distill", "prune"),
    )

    assert (deployed.report.stages[0].accuracy.value or 0) > 0.95
    assert any("it is trained on their logarithm" in warning for warning in deployed.report.warnings)
    told = _asked(tmp_path / "out" / "bundle", next((tiny_data / "val" / "red").iterdir()))
    assert sum(told["logits"]) == pytest.approx(1, abs=0.02)  # they are probabilities, of INT8
    assert [one["probability"] for one in told["top"]] == pytest.approx(sorted(told["logits"])[::-1], abs=0.02)


def test_a_gray_network_that_is_fed_colours_is_told_what_to_set(nets: Path, surfaces: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not take an input of 1x3x16x16") as told:
        _deployed(
            Store(tmp_path / "store"), tmp_path / "out", model=f"{nets}:gray_logit", data={"source": str(surfaces)}
        )

    assert told.value.fix == "it takes images of 1 channel(s): set input.channels=gray"
