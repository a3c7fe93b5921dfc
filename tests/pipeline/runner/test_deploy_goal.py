"""A goal through the whole chain: channels go until it holds, and the report says how."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from exporters.ort_cpu.target import OrtCpuTarget
from pipeline.chain.chain import Chain
from pipeline.chain.phases import Phases
from pipeline.chain.plan import make_plan
from pipeline.errors import GoalError
from pipeline.planning.given_decisions import read_decisions
from pipeline.planning.goal import measured_networks
from pipeline.planning.goal.measured_networks import engine_in, quickly_calibrated
from pipeline.planning.goal.stored_goal_search import plan_for_goal
from pipeline.progress import SilentProgress
from pipeline.quantization.calibrated import read_calibration
from pipeline.recipe import Recipe
from pipeline.runner import deploy as module
from pipeline.runner import goal_report
from pipeline.runner.deploy import deploy
from pipeline.runner.explain import explain
from pipeline.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.planning.int8_candidate import Candidate
    from pipeline.runner.publish import Deployed

pytestmark = pytest.mark.usefixtures("quick_publishing")


def _with(recipe: Recipe, goal: dict[str, Any], **fields: Any) -> Recipe:  # noqa: ANN401 - raw input
    """The recipe with a goal; what two epochs bring in accuracy is none of it."""
    value = recipe.model_dump(mode="json", by_alias=True)
    goal = {"max_accuracy_drop": 1, **goal}
    return Recipe.model_validate({**value, "skip": ["distill"], "goal": goal, **fields})


def _run(recipe: Recipe, store: Store, out: Path, ran: list[str] | None = None) -> Deployed:
    def announce(outcome: Any) -> None:  # noqa: ANN401 - an outcome
        if ran is not None and outcome.result.status == "ran":
            ran.append(outcome.result.stage)

    chain = Chain(make_plan(recipe, store, SilentProgress()), store, SilentProgress(), announce)
    (deployed,) = deploy(chain, out=out)
    return deployed


@pytest.fixture(scope="module")
def met(tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Store, Deployed]:
    """The tiny network with at most six tenths of its multiplications."""
    folder = tmp_path_factory.mktemp("goal")
    recipe, store = _with(tiny_recipe, goal={"macs": "0.6x", "require": ["goal"]}), Store(folder / "store")
    return recipe, store, _run(recipe, store, folder / "out")


def test_the_goal_is_met_with_no_more_channels_gone_than_it_takes(met: tuple[Recipe, Store, Deployed]) -> None:
    _, _, deployed = met
    goal = deployed.report.goal
    assert goal is not None
    assert (goal.met, deployed.exit_code) == (True, 0)
    assert goal.sentence.startswith("the goal is met: macs 0.")
    before, after = (deployed.report.stage(name) for name in ("baseline", "prune"))
    assert before is not None
    assert after is not None
    assert after.macs is not None
    assert before.macs is not None
    assert 0.25 < after.macs / before.macs <= 0.6
    assert goal.found["macs"] == pytest.approx(after.macs / before.macs)


def test_multiplications_are_predicted_exactly(met: tuple[Recipe, Store, Deployed]) -> None:
    networks, _ = met[2].report.choices
    planned = [one for one in networks.tried if one.predicted]
    assert planned
    assert planned[-1].predicted["macs_ratio"] == pytest.approx(planned[-1].figures["macs_ratio"], rel=0.1)
    assert [one.label for one in networks.tried[:2]] == ["unpruned", "fewest channels"]
    assert networks.tried[-1].label == "shipped"
    assert networks.chosen in {one.label for one in planned if one.outcome.startswith("taken: holds")}


def test_what_was_planned_is_shown_in_every_form_of_the_report(met: tuple[Recipe, Store, Deployed]) -> None:
    folder = met[2].folder
    for name in ("report.md", "report.html"):
        text = (folder / name).read_text(encoding="utf-8")
        assert "What was chosen by measuring" in text
        assert "fewest channels" in text
    assert "Accuracy against latency of what was measured" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_second_run_plans_nothing_and_explain_knows(met: tuple[Recipe, Store, Deployed], tmp_path: Path) -> None:
    recipe, store, first = met
    ran: list[str] = []
    again = _run(recipe, store, tmp_path / "again", ran)
    assert ran == []
    assert again.report.bundle.sha256 == first.report.bundle.sha256
    told = {one.stage: one.status for one in explain(make_plan(recipe, store, SilentProgress()), store)}
    assert told["prune"] == "cached"
    other = _with(recipe, goal={"macs": "0.7x"})
    (prune,) = (one for one in explain(make_plan(other, store, SilentProgress()), store) if one.stage == "prune")
    assert prune.status == "would run"
    assert "goal.macs: 0.6x -> 0.7x" in prune.reasons


def test_a_goal_that_holds_already_leaves_the_network_as_it_is(
    met: tuple[Recipe, Store, Deployed], tmp_path: Path
) -> None:
    recipe, store, _ = met
    deployed = _run(_with(recipe, goal={"params": "10M"}), store, tmp_path / "out")
    row = deployed.report.stage("prune")
    assert row is not None
    assert row.status == "skipped"
    assert row.notes == ("all channels stay: the network holds its budgets as it is",)
    assert deployed.report.goal is not None
    assert deployed.report.goal.met


def test_a_goal_no_channels_can_hold_is_refused_with_what_is_possible(
    met: tuple[Recipe, Store, Deployed], tmp_path: Path
) -> None:
    recipe, store, _ = met
    with pytest.raises(GoalError, match="cannot be brought to macs 10") as raised:
        _run(_with(recipe, goal={"macs": "10"}), store, tmp_path / "out")
    assert raised.value.exit_code == 8
    assert "with the fewest channels" in str(raised.value.got)
    assert not (tmp_path / "out").exists()


def test_of_the_candidates_of_auto_the_first_is_taken_that_can_hold_the_goal(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe.model_validate({"model": "resnet18", "goal": {"latency": "5ms"}})
    first, second, third = (SimpleNamespace(name=name) for name in ("a", "b", "c"))
    plan = SimpleNamespace(
        recipe=recipe, targets=(first, second, third), fastest_only=True, cannot_run=lambda one: one is first
    )
    chain: Any = SimpleNamespace(plan=plan, progress=SilentProgress(), phases=Phases())
    network: Any = None
    holding = [third]

    def planned(_chain: object, target: Any, _network: object) -> Any:  # noqa: ANN401 - a GoalPlan
        if target not in holding:
            raise GoalError(f"not on {target.name}", got="6 ms")
        return SimpleNamespace(target=target.name, networks=SimpleNamespace(reason="a test"))

    monkeypatch.setattr(module, "plan_for_goal", planned)
    found, refused = module._planned(chain, network)
    assert (found.target, refused) == ("c", [second])
    holding.clear()
    with pytest.raises(GoalError, match="not on b"):
        module._planned(chain, network)
    plan.fastest_only, holding[:] = False, [third]
    with pytest.raises(GoalError, match="not on b"):
        module._planned(chain, network)


def test_a_goal_that_is_required_and_missed_ends_with_8(met: tuple[Recipe, Store, Deployed], tmp_path: Path) -> None:
    recipe, store, _ = met
    asked = _with(recipe, goal={"macs": "0.6x", "require": ["goal"]}, skip=["distill", "prune"])
    deployed = _run(asked, store, tmp_path / "out")
    goal = deployed.report.goal
    assert goal is not None
    assert (goal.met, deployed.exit_code, deployed.report.verdict.status) == (False, 8, "missed")
    assert "nothing was done for it, since the stages that could are left out (downsample: input.size" in goal.sentence
    assert "; prune: skipped on request); what holds it back: macs is 67% above its budget" in goal.sentence


def test_what_is_counted_is_planned_where_the_target_cannot_run(
    met: tuple[Recipe, Store, Deployed], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, store, _ = met
    monkeypatch.setattr(OrtCpuTarget, "cannot_run", lambda _: "a test")
    plan = make_plan(_with(recipe, goal={"macs": "0.65x"}), store, SilentProgress())
    chain = Chain(plan, store, SilentProgress(), lambda _: None)
    network = chain.execute(plan.recipe.baseline, {}).artifact

    found = plan_for_goal(chain, plan.targets[0], network)

    tried = {one.label: one.figures for one in found.networks.tried}
    assert tried[found.networks.chosen]["macs_ratio"] <= 0.65
    assert all("p50_s" not in figures for figures in tried.values())


@pytest.fixture(scope="module")
def depthwise(met: tuple[Recipe, Store, Deployed]) -> str:
    """The ONNX node of the tiny network's depthwise convolution."""
    recipe, store, _ = met
    chain = Chain(make_plan(recipe, store, SilentProgress()), store, SilentProgress(), lambda _: None)
    network = chain.execute(chain.plan.recipe.baseline, {}).artifact
    graph = read_calibration(quickly_calibrated(chain, network)).model.graph
    found = (node.name for node in graph.node if any(one.name == "group" and one.i > 1 for one in node.attribute))
    return str(next(found))


def test_where_nothing_went_what_ships_is_the_unpruned_network_in_whatever_form(
    met: tuple[Recipe, Store, Deployed], depthwise: str, tmp_path: Path
) -> None:
    recipe, store, _ = met
    asked = _with(recipe, goal={"size": "0.9x"}, skip=["distill", "prune"], export={"float_nodes": [depthwise]})
    goal = _run(asked, store, tmp_path / "out").report.goal
    assert goal is not None
    assert goal.found == {"size": 1.0}


def test_what_ships_is_held_against_the_unpruned_network_with_the_same_layers_in_float(
    met: tuple[Recipe, Store, Deployed], depthwise: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forms: list[Candidate] = []

    def spied(*args: Any) -> Any:  # noqa: ANN401 - an engine
        engine = engine_in(*args)
        forms.append(args[4])
        return engine

    monkeypatch.setattr(measured_networks, "engine_in", spied)
    monkeypatch.setattr(goal_report, "engine_in", spied)
    recipe, store, _ = met
    deployed = _run(_with(recipe, goal={"size": "0.9x"}, export={"float_nodes": [depthwise]}), store, tmp_path / "out")
    shipped = read_decisions(deployed.folder / "decisions.json").int8.candidate
    assert shipped.float_nodes == (depthwise,)
    assert len(forms) > 3
    assert {form.float_nodes for form in forms} == {(depthwise,)}
    assert forms[-1] == shipped
    goal = deployed.report.goal
    assert goal is not None
    assert goal.found["size"] < 1


_DEEP = """
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 16, 1)
        )

    def forward(self, x):
        return nn.functional.relu(x + self.inner(x))


def deep(num_classes):
    stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    blocks = [Block() for _ in range(4)]
    return nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, num_classes))
"""


@pytest.mark.slow
def test_blocks_are_weighed_against_channels_and_what_ships_is_without_those_that_went(
    tiny_recipe: Recipe, tmp_path: Path
) -> None:
    (tmp_path / "deep.py").write_text(_DEEP, encoding="utf-8")
    once = {"epochs": 1, "batch_size": 32}
    recipe = _with(
        tiny_recipe,
        model=f"{tmp_path / 'deep.py'}:deep",
        goal={"macs": "0.45x"},
        prune={"blocks": "auto", "schedule": once},
    )
    store = Store(tmp_path / "store")

    deployed = _run(recipe, store, tmp_path / "out")

    ways, networks, _ = deployed.report.choices
    labels = [one.label for one in ways.tried]
    assert labels[:2] == ["16x16", "16x16 without 1 block"]
    left = [one.figures["channels_left"] for one in ways.tried]
    assert left == sorted(left)
    assert "fewer blocks, 16x16 without 2 blocks" in {one.label for one in networks.tried}
    given = read_decisions(deployed.folder / "decisions.json").goal
    assert given is not None
    assert len(given.blocks) == ("without 1" in ways.chosen) + 2 * ("without 2" in ways.chosen)
    assert deployed.report.goal is not None
    assert deployed.report.goal.met
    told = {one.stage: one.status for one in explain(make_plan(recipe, store, SilentProgress()), store)}
    assert told["prune"] == "cached"
