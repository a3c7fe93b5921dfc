"""A run whose choices by timing are given makes the earlier run's bundle, or says that it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.errors import ParityError, UsageError
from pipeline.planning import stored_int8_search
from pipeline.planning.given_decisions import Decisions, read_decisions
from pipeline.planning.goal.goal_plan import GoalPlan
from pipeline.planning.int8_candidate import Candidate
from pipeline.planning.int8_decision import Decision
from pipeline.planning.trials import Trials
from pipeline.progress import SilentProgress
from pipeline.recipe import Recipe
from pipeline.runner.deploy import deploy
from pipeline.runner.reproduced import for_given_target
from pipeline.store import Store

if TYPE_CHECKING:
    from pipeline.runner.publish import Deployed

_GOAL = GoalPlan(
    size=(16, 16),
    channels={"stem.0": 8},
    target="ort-cpu",
    precision="int8",
    networks=Trials("networks", {"goal.latency": "0.5x"}).choice("plan 1", "half of the channels"),
)
_CHOSEN = Decisions(
    target="ort-cpu",
    calibration="a" * 64,
    int8=Decision(
        precision="int8",
        candidate=Candidate(method="mse", dialect="ort-x86", float_nodes=("stem",), kept="the worst layer"),
        choice=Trials("forms", {}).choice("mse ranges, ort-x86", "faster"),
        options={"threads": 2},
    ),
    network="b" * 64,
    goal=_GOAL,
    bundle="c" * 64,
)


def _run(recipe: Recipe, cache: Path, out: Path, given: Decisions | None = None) -> Deployed:
    store, progress = Store(cache), SilentProgress()
    chain = Chain(make_plan(recipe, store, progress), store, progress, lambda _: None, given=given)
    (deployed,) = deploy(chain, out=out)
    return deployed


def test_a_file_of_decisions_reads_back(tmp_path: Path) -> None:
    (tmp_path / "decisions.json").write_text(_CHOSEN.to_text(), encoding="utf-8")
    assert read_decisions(tmp_path / "decisions.json") == _CHOSEN


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "[" * 100_000, '{"schema": "edgewright.decisions/1"}', '{"schema": 1}']
)
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=r"x\.json: this is no file of decisions"):
        read_decisions(tmp_path / "x.json")


def test_what_was_chosen_about_something_else_is_refused() -> None:
    assert _CHOSEN.about_calibration("a" * 64) == _CHOSEN.int8
    assert _CHOSEN.about_network("b" * 64, {"goal.latency": "0.5x"}) == _GOAL
    for ask, what in (
        (_CHOSEN.about_calibration, "calibration"),
        (lambda sha256: _CHOSEN.about_network(sha256, {"goal.latency": "0.5x"}), "network"),
        (_CHOSEN.refuse_another, "bundle"),
    ):
        with pytest.raises(ParityError, match=f"another {what}") as raised:
            ask("0" * 64)
        assert raised.value.exit_code == 8


def test_a_goal_that_the_earlier_run_had_not_is_refused() -> None:
    with pytest.raises(UsageError, match="had no goal"):
        replace(_CHOSEN, network=None, goal=None).about_network("b" * 64, {"goal.latency": "0.5x"})


def test_another_goal_than_the_earlier_run_had_is_refused() -> None:
    with pytest.raises(UsageError, match="had another goal") as raised:
        _CHOSEN.about_network("b" * 64, {"goal.latency": "0.3x"})
    assert (raised.value.got, raised.value.expected) == ("goal.latency=0.3x", "goal.latency=0.5x")


def _asking(targets: tuple[str, ...]) -> Recipe:
    return Recipe.model_validate({"model": "resnet18", "targets": targets, "goal": {"latency": "0.5x"}})


@pytest.mark.parametrize("targets", [("auto",), ("ort-cpu",)])
def test_an_open_target_is_the_one_that_was_chosen(targets: tuple[str, ...]) -> None:
    assert for_given_target(_asking(targets), _CHOSEN).targets == ("ort-cpu",)


@pytest.mark.parametrize("targets", [("openvino",), ("ort-cpu", "openvino")])
def test_another_target_is_refused(targets: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="was for another target"):
        for_given_target(_asking(targets), _CHOSEN)


@pytest.mark.parametrize(
    ("goal", "told"),
    [({}, "had a goal"), ({"latency": "0.3x"}, "had another goal"), ({"macs": "0.5x"}, "another goal")],
)
def test_another_goal_is_refused_before_anything_is_trained(goal: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told) as raised:
        for_given_target(Recipe.model_validate({"model": "resnet18", "goal": goal}), _CHOSEN)
    assert raised.value.expected == "goal.latency=0.5x"


@pytest.mark.slow
def test_from_an_empty_store_the_same_bundle_comes_without_a_search(
    tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searching = tiny_recipe.build.model_copy(update={"precision": "auto", "budget_s": 20.0})
    recipe = tiny_recipe.model_copy(update={"build": searching, "skip": ("distill", "prune")})
    first = _run(recipe, tmp_path / "first-store", tmp_path / "first")
    given = read_decisions(first.folder / "decisions.json")
    assert given.bundle == first.report.bundle.sha256
    monkeypatch.setattr(stored_int8_search, "Search", None)  # nothing may be searched for
    second = _run(recipe, tmp_path / "second-store", tmp_path / "second", given)
    assert second.report.bundle.sha256 == first.report.bundle.sha256
    assert (second.folder / "decisions.json").read_bytes() == (first.folder / "decisions.json").read_bytes()
    with pytest.raises(ParityError, match="another calibration"):
        _run(recipe.model_copy(update={"seed": 1}), tmp_path / "third-store", tmp_path / "third", given)
