"""A smaller input through the whole chain: asked for by its size, or found for a goal beside the channels."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.errors import UsageError
from pipeline.progress import SilentProgress
from pipeline.recipe import Recipe
from pipeline.recipe.reading import dump_recipe, read_recipe
from pipeline.runner.deploy import deploy
from pipeline.runner.explain import explain
from pipeline.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.runner.publish import Deployed

pytestmark = pytest.mark.usefixtures("quick_publishing")


def _recipe(tiny: Recipe, **fields: Any) -> Recipe:  # noqa: ANN401 - raw input
    value = tiny.model_dump(mode="json", by_alias=True)
    once = {"epochs": 1, "batch_size": 32}
    return Recipe.model_validate({**value, "skip": ["distill"], "downsample": {"schedule": once}, **fields})


def _run(recipe: Recipe, store: Store, out: Path) -> Deployed:
    chain = Chain(make_plan(recipe, store, SilentProgress()), store, SilentProgress(), lambda _: None)
    (deployed,) = deploy(chain, out=out)
    return deployed


@pytest.fixture(scope="module")
def asked(tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Store, Deployed]:
    """The tiny network, trained at 16 pixels, shipped for 12 with a stem that strides, every lever pulled."""
    folder = tmp_path_factory.mktemp("asked")
    section = {"size": 12, "stem": "earlier", "mixed_sizes": 0.5, "schedule": {"epochs": 1}}
    recipe, store = _recipe(tiny_recipe, downsample=section), Store(folder / "store")
    return recipe, store, _run(recipe, store, folder / "out")


def test_the_stages_before_see_large_images_and_those_behind_it_small_ones(
    asked: tuple[Recipe, Store, Deployed],
) -> None:
    report = asked[2].report
    assert [row.name for row in report.stages] == [
        "baseline", "distill", "downsample", "prune", "calibrate", "export", "build",
    ]  # fmt: skip
    macs = {row.name: row.macs for row in report.stages}
    assert macs["baseline"] is not None
    assert macs["downsample"] is not None
    assert macs["downsample"] < 0.3 * macs["baseline"]
    assert report.stage("downsample").notes[:2] == (  # type: ignore[union-attr]
        "input 16x16 -> 12x12",
        "stem.0: 3x3 stride 1 -> 4x4 stride 2, widen no longer strides",
    )


def test_the_bundle_prepares_its_images_at_the_smaller_size_and_answers(
    asked: tuple[Recipe, Store, Deployed], tiny_data: Path
) -> None:
    folder = asked[2].folder / "bundle"
    assert json.loads((folder / "preprocess.json").read_text())["size"] == [12, 12]
    image = next(tiny_data.rglob("*.png"))
    done = subprocess.run(
        [sys.executable, str(folder / "run.py"), "--json", str(image)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)


def test_a_second_run_does_nothing_and_explain_says_so(asked: tuple[Recipe, Store, Deployed], tmp_path: Path) -> None:
    recipe, store, first = asked
    again = _run(recipe, store, tmp_path / "again")
    rows = [row for row in again.report.stages if row.status != "skipped"]
    assert {row.status for row in rows} == {"cached"}
    assert again.report.bundle == first.report.bundle
    told = {one.stage: one.status for one in explain(make_plan(recipe, store, SilentProgress()), store)}
    assert told["downsample"] == told["prune"] == told["build"] == "cached"


def test_a_size_the_network_does_not_take_is_refused_before_anything_is_trained(
    tiny_recipe: Recipe, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(UsageError) as raised:
        _run(_recipe(tiny_recipe, downsample={"size": 24}), store, tmp_path / "out")
    assert (raised.value.where, raised.value.expected) == ("downsample.size", "less than 16x16")
    assert not (tmp_path / "out").exists()


def test_a_stem_that_cannot_be_is_refused_before_anything_is_trained(
    tiny_recipe: Recipe, tiny_file: Path, tmp_path: Path
) -> None:
    file, store = tmp_path / "net.py", Store(tmp_path / "store")
    file.write_text(tiny_file.read_text().replace("32, 1, stride=2", "32, 2, stride=2"))
    recipe = _recipe(tiny_recipe, model=f"{file}:tiny", downsample={"stem": "earlier"})
    with pytest.raises(UsageError, match="cannot stride further") as raised:
        _run(recipe, store, tmp_path / "out")
    assert raised.value.where == "downsample.stem"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("section", "goal", "where"),
    [
        ({"stem": "doubled", "size": "auto"}, {"macs": "0.4x"}, "downsample.stem"),
        ({"stem": "doubled", "mixed_sizes": 0.5}, {}, "downsample.mixed_sizes"),
        ({"mixed_sizes": 0.5}, {"params": "0.5x"}, "downsample.mixed_sizes"),
    ],
)
def test_levers_that_do_not_go_together_are_refused(
    tiny_recipe: Recipe, tmp_path: Path, section: dict[str, Any], goal: dict[str, str], where: str
) -> None:
    recipe = _recipe(tiny_recipe, downsample=section, goal=goal)
    with pytest.raises(UsageError) as raised:
        make_plan(recipe, Store(tmp_path / "store"), SilentProgress())
    assert raised.value.where == where


@pytest.fixture(scope="module")
def with_digits(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """For plans alone: the images of the digits are written into it once."""
    return Store(tmp_path_factory.mktemp("digits") / "store")


def test_a_stem_leaves_the_input_of_a_goal_as_large_as_it_is(tiny_recipe: Recipe, with_digits: Store) -> None:
    recipe = _recipe(
        tiny_recipe, data={"source": "digits"}, input={}, downsample={"stem": "doubled"}, goal={"macs": "0.4x"}
    )
    plan = make_plan(recipe, with_digits, SilentProgress())
    assert plan.downsamples
    assert not plan.size_is_open


@pytest.fixture(scope="module")
def open_goal(tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Store, Deployed]:
    """The tiny network on digits, at four tenths of its multiplications: pixels and channels may go."""
    folder = tmp_path_factory.mktemp("open")
    recipe = _recipe(
        tiny_recipe,
        data={"source": "digits", "calibration_images": 32},
        input={},
        goal={"macs": "0.4x", "max_accuracy_drop": 1},
    )
    store = Store(folder / "store")
    return recipe, store, _run(recipe, store, folder / "out")


@pytest.mark.slow
def test_alone_a_goal_weighs_pixels_against_channels(open_goal: tuple[Recipe, Store, Deployed]) -> None:
    report = open_goal[2].report
    goal = report.goal
    assert goal is not None
    assert goal.met
    ways, networks, _ = report.choices
    found = {int(one.label.rpartition("x")[2]): one.figures for one in ways.tried}
    assert len(found) > 1
    assert 32 in found
    best = next(one for one in ways.tried if one.label == ways.chosen)
    assert best.outcome == "taken"
    assert all(
        (one["accuracy"], -one["loss"]) <= (best.figures["accuracy"], -best.figures["loss"]) for one in found.values()
    )
    assert all(np.diff([found[side]["channels_left"] for side in sorted(found)]) <= 0)
    assert (ways.chosen == "32x32") == ("x" not in networks.chosen)
    before, after = report.stage("baseline"), report.stage("calibrate")
    assert before is not None
    assert after is not None
    assert before.macs is not None
    assert after.macs is not None
    assert after.macs <= 0.4 * 1.02 * before.macs


@pytest.mark.slow
def test_the_recipe_beside_the_report_leads_to_the_same_plan(
    open_goal: tuple[Recipe, Store, Deployed], tmp_path: Path
) -> None:
    _, store, first = open_goal
    resolved = read_recipe(first.folder / "recipe.yaml", {})
    assert (resolved.input.size, resolved.downsample.size) == ((32, 32), "auto")
    assert dump_recipe(make_plan(resolved, store, SilentProgress()).recipe) == dump_recipe(resolved)
    again = _run(resolved, store, tmp_path / "again")
    assert again.report.bundle == first.report.bundle
    assert {row.status for row in again.report.stages} <= {"cached", "skipped"}


def test_a_given_size_stays_whatever_the_goal(tiny_recipe: Recipe, tmp_path: Path) -> None:
    plan = make_plan(_recipe(tiny_recipe, goal={"macs": "0.4x"}), Store(tmp_path / "store"), SilentProgress())
    assert not plan.downsamples
    assert (
        plan.skipped["downsample"] == "input.size is given: images stay as large as that, unless downsample.size=auto"
    )


def test_auto_without_a_goal_that_pixels_help_is_refused(tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = _recipe(tiny_recipe, downsample={"size": "auto"}, goal={"params": "0.5x"})
    with pytest.raises(UsageError, match="decided by a goal"):
        make_plan(recipe, Store(tmp_path / "store"), SilentProgress())


def test_auto_opens_a_size_that_is_given(tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = _recipe(tiny_recipe, downsample={"size": "auto"}, goal={"macs": "0.5x"})
    assert make_plan(recipe, Store(tmp_path / "store"), SilentProgress()).size_is_open


@pytest.mark.parametrize("goal", [{"params": "0.5x"}, {"size": "0.5x"}, {}])
def test_where_fewer_pixels_would_not_help_none_go(
    tiny_recipe: Recipe, with_digits: Store, goal: dict[str, str]
) -> None:
    recipe = _recipe(tiny_recipe, data={"source": "digits"}, input={}, goal=goal)
    plan = make_plan(recipe, with_digits, SilentProgress())
    assert not plan.downsamples
    assert "downsample" not in plan.skipped
