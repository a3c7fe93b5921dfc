"""Which target is kept where several run the same network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporters.auto import candidates
from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.environment import this_machine
from pipeline.planning import time_ratio as module
from pipeline.planning.time_ratio import TimeRatio
from pipeline.progress import SilentProgress
from pipeline.recipe import read_recipe
from pipeline.report.render import read_report
from pipeline.runner.deploy import deploy
from pipeline.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.recipe import Recipe
    from pipeline.runner.publish import Deployed

_NAMES = [target.name for target in candidates(this_machine())[0]]

pytestmark = [
    pytest.mark.skipif(_NAMES != ["ort-cpu", "openvino"], reason=f"auto is {', '.join(_NAMES)} here"),
    pytest.mark.usefixtures("quick_publishing"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


def _deployed(recipe: Recipe, store: Store, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Deployed:
    monkeypatch.chdir(folder)
    plan = make_plan(
        recipe.model_copy(update={"targets": ("auto",), "skip": ("distill", "prune")}), store, SilentProgress()
    )
    (deployed,) = deploy(Chain(plan, store, SilentProgress(), lambda _outcome: None), out=None)
    return deployed


@pytest.mark.slow
def test_one_bundle_comes_out_and_tells_what_it_was_compared_with_and_its_recipe_names_it(
    tiny_recipe: Recipe, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deployed = _deployed(tiny_recipe, store, monkeypatch, tmp_path)
    chosen = deployed.folder.name
    assert [path.name for path in (tmp_path / deployed.folder).parent.iterdir()] == [chosen]
    (note,) = [note for note in read_report(deployed.folder).stages[-1].notes if note.startswith("target auto: ")]
    assert note.startswith(f"target auto: {chosen} is shipped, since openvino takes ")
    ratio = float(note.split(" takes ")[1].partition("x")[0])
    assert (chosen == "openvino") == (ratio < 0.98)
    assert " side by side" in note
    assert read_recipe(deployed.folder / "recipe.yaml", {}).targets == (chosen,)


@pytest.mark.parametrize(("ratio", "chosen"), [(0.97, "openvino"), (0.99, "ort-cpu")])
def test_another_target_has_to_be_clearly_faster_and_is_timed_once(
    tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: Store, ratio: float, chosen: str
) -> None:
    timed = []

    def time_ratio(*_: object) -> TimeRatio:
        timed.append(ratio)
        return TimeRatio(ratio=ratio, low=ratio - 0.01, high=ratio + 0.01)

    monkeypatch.setattr(module, "time_ratio", time_ratio)
    monkeypatch.setattr(module, "_RECORDS", f"side-by-side-{ratio}")
    assert _deployed(tiny_recipe, store, monkeypatch, tmp_path).folder.name == chosen
    deployed = _deployed(tiny_recipe, store, monkeypatch, tmp_path)
    assert deployed.folder.name == chosen
    assert timed == [ratio]
    assert any(
        note.startswith(f"target auto: {chosen} is shipped, since openvino takes {ratio}x ")
        for note in read_report(deployed.folder).stages[-1].notes
    )
    assert read_recipe(deployed.folder / "recipe.yaml", {}).targets == (chosen,)
