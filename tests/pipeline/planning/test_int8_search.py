"""The search for the best INT8 form: what it tries, what it decides, and that it decides once."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import cycle
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.artifact import ArtifactKind
from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.errors import AccuracyError
from pipeline.planning import int8_search as search_module
from pipeline.planning import measured_forms
from pipeline.planning.int8_candidate import Candidate
from pipeline.planning.int8_decision import Decision
from pipeline.planning.int8_search import Search
from pipeline.planning.measured_forms import MeasuredForms
from pipeline.planning.stored_int8_search import decide, decision_components
from pipeline.planning.stored_search import as_json, from_json, kept
from pipeline.planning.time_ratio import TimeRatio
from pipeline.planning.trials import Trials
from pipeline.progress import SilentProgress
from pipeline.quantization.calibrated import read_calibration
from pipeline.quantization.share import weighted_macs
from pipeline.recipe import GoalSection, Recipe
from pipeline.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.artifact import Artifact

Calibrated = tuple[Recipe, Store, "Artifact"]

pytestmark = pytest.mark.usefixtures("scored_here")


@pytest.fixture(scope="module")
def calibrated(tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Calibrated:
    """A store in which the tiny network is trained and calibrated."""
    store = Store(tmp_path_factory.mktemp("search") / "cache")
    recipe = tiny_recipe.model_copy(update={"skip": ("distill", "prune")})
    chain = Chain(make_plan(recipe, store, SilentProgress()), store, SilentProgress(), lambda _: None)
    artifacts: dict[ArtifactKind, Any] = {}
    for stage in chain.plan.network_stages():
        result = chain.execute(stage, artifacts)
        artifacts[result.artifact.kind] = result.artifact
    return recipe, store, artifacts[ArtifactKind.CALIBRATION]


@pytest.fixture
def searched(calibrated: Calibrated, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Decision]:
    """Decides with what is given in the recipe; times are given too, since a tiny network's are noise."""
    recipe, store, calibration = calibrated

    def run(ratio: float = 0.5, *, asked: str = "auto", budget_s: float = 60, **fields: Any) -> Decision:  # noqa: ANN401
        timed = TimeRatio(ratio=ratio, low=ratio - 0.01, high=ratio + 0.01)
        monkeypatch.setattr(measured_forms, "time_ratio", lambda *_: timed)
        monkeypatch.setattr(search_module, "best_options", lambda *_, **__: {})
        given = {**recipe.model_dump(mode="json", by_alias=True), **fields}
        given["build"] = {"precision": asked, "budget_s": budget_s}
        plan = make_plan(Recipe.model_validate(given), store, SilentProgress())
        chain = Chain(plan, store, SilentProgress(), lambda _: None)
        floats = chain.measured(calibration, plan.targets[0])
        return Search(chain, plan.targets[0], {ArtifactKind.CALIBRATION: calibration}, floats).run()

    return run


def test_every_format_is_tried_and_the_one_with_the_least_error_is_taken(searched: Callable[..., Decision]) -> None:
    found = searched(asked="int8", export={"weight_bits": 8})
    noises = {one.label: one.figures["noise"] for one in found.choice.tried if "noise" in one.figures}
    assert set(noises) == {f"{method} ranges, ort-x86" for method in ("mse", "minmax", "percentile", "entropy")}
    assert noises[found.candidate.label] == min(noises.values())


def test_a_format_that_is_asked_for_is_the_only_one(searched: Callable[..., Decision]) -> None:
    found = searched(asked="int8", export={"method": "minmax", "weight_bits": 7})
    assert found.candidate == Candidate(method="minmax", dialect="ort-x86-7bit")


def test_nodes_that_are_to_stay_float_stay_float_in_every_form(searched: Callable[..., Decision]) -> None:
    worst = searched(asked="int8").damages[0].node
    found = searched(asked="int8", export={"float_nodes": [worst]})
    assert found.candidate.float_nodes == (worst,)


def test_without_a_budget_the_first_form_is_taken_as_it_is(searched: Callable[..., Decision]) -> None:
    found = searched(asked="int8", budget_s=0)
    assert found.candidate == Candidate(method="mse", dialect="ort-x86")
    assert found.damages == ()
    assert "was not timed beside float, since the budget was spent" in found.choice.reason
    assert not [one for one in found.choice.tried if one.label != "float" and "time_ratio" in one.figures]


def test_without_a_budget_what_decides_is_timed_side_by_side_once(
    searched: Callable[..., Decision],
) -> None:
    found = searched(0.75, budget_s=0)
    assert found.precision == "int8"
    assert found.choice.reason.endswith("takes 0.75x the time of float, 0.74x to 0.76x side by side")
    (form,) = (one for one in found.choice.tried if one.label != "float")
    assert (form.figures["time_ratio_low"], form.figures["time_ratio_high"]) == (0.74, 0.76)


def test_int8_that_is_not_faster_is_not_shipped_and_the_reason_says_so(searched: Callable[..., Decision]) -> None:
    found = searched(1.25)
    assert found.precision == "float"
    assert "1.25x the time of float, 1.24x to 1.26x side by side" in found.choice.reason
    outcomes = {one.label: one.outcome for one in found.choice.tried}
    assert outcomes[found.candidate.label] == "float is shipped in its place"
    assert (found.choice.chosen, outcomes["float"]) == ("float", "shipped")


def test_required_int8_that_is_not_faster_is_an_error(searched: Callable[..., Decision]) -> None:
    with pytest.raises(AccuracyError) as raised:
        searched(1.25, goal={"require": "int8"})
    assert raised.value.exit_code == 8


class _Ruined(MeasuredForms):
    """The error is injected where accuracy is measured: INT8 fails until so many layers are float."""

    needed = 2

    def measured(self, candidate: Candidate) -> Any:  # noqa: ANN401 - Measured
        found = super().measured(candidate)
        lost = 0.0 if len(candidate.float_nodes) >= self.needed else 0.5
        return replace(found, accuracy=replace(found.accuracy, value=self._floats.accuracy.value - lost))


@pytest.mark.parametrize("needed", [1, 2, 3])
def test_the_fewest_layers_that_win_the_accuracy_back_are_kept_float(
    searched: Callable[..., Decision], monkeypatch: pytest.MonkeyPatch, needed: int
) -> None:
    monkeypatch.setattr(search_module, "MeasuredForms", _Ruined)
    monkeypatch.setattr(_Ruined, "needed", needed)
    monkeypatch.setattr(search_module, "_FREE_LAYERS", 0)
    found = searched()
    assert found.precision == "int8"
    assert sorted(found.candidate.float_nodes) == sorted(one.node for one in found.damages[:needed])


def test_the_worst_layers_stay_float_where_that_takes_no_time(
    searched: Callable[..., Decision], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = searched()
    assert sorted(found.candidate.float_nodes) == sorted(one.node for one in found.damages[:3])
    monkeypatch.setattr(search_module, "_AS_FAST", 0.9)
    assert searched().candidate.float_nodes == ()


def test_layers_that_are_float_for_their_time_are_not_among_the_worst_that_go(
    searched: Callable[..., Decision], monkeypatch: pytest.MonkeyPatch
) -> None:
    worst = [one.node for one in searched().damages]
    monkeypatch.setattr(search_module, "groups", lambda *_: {"worst": frozenset(worst[:1])})
    monkeypatch.setattr(search_module, "_FREE_LAYERS", 1)
    monkeypatch.setattr(search_module.Search, "_is_faster", lambda *_: True)

    found = searched()

    assert sorted(found.candidate.float_nodes) == sorted(worst[:2])


@pytest.mark.parametrize(("size", "stay"), [("2kB", False), ("4kB", True), ("500B", True)])
def test_no_layers_go_back_to_float_that_make_it_larger_than_was_asked_for(
    searched: Callable[..., Decision], monkeypatch: pytest.MonkeyPatch, size: str, *, stay: bool
) -> None:
    with_and_without = cycle([3000, 1000])
    monkeypatch.setattr(search_module, "loaded_size", lambda _: next(with_and_without))

    found = searched(goal={"size": size})

    assert bool(found.candidate.float_nodes) == stay
    assert any(one.outcome == f"larger than goal.size={size}" for one in found.choice.tried) == (not stay)


def test_layers_that_hold_most_of_the_multiplications_never_go_back_to_float(
    searched: Callable[..., Decision], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module, "MeasuredForms", _Ruined)
    monkeypatch.setattr(_Ruined, "needed", 5)

    found = searched()

    assert found.precision == "float"
    assert found.share is not None
    assert found.share.of_macs > 0.5
    assert "not INT8 any more: most multiplications would be float" in [one.outcome for one in found.choice.tried]


def test_layers_that_cost_nothing_in_float_leave_a_small_network_in_int8(
    searched: Callable[..., Decision], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module, "_FREE_LAYERS", 99)

    found = searched()

    assert found.share is not None
    assert found.share.layers >= 1
    assert found.share.of_macs > 0.5


@pytest.mark.parametrize("asked", ["auto", "int8"])
def test_a_network_in_which_nothing_runs_in_int8_is_float_and_an_error_where_int8_is_asked_for(
    searched: Callable[..., Decision], asked: str
) -> None:
    everything = [one.node for one in searched().damages]
    given: dict[str, Any] = {"asked": asked, "export": {"float_nodes": everything}}

    if asked == "int8":
        with pytest.raises(AccuracyError, match="no layer of this network can run in INT8"):
            searched(**given)
    else:
        found = searched(**given)
        assert (found.precision, found.choice.reason) == (
            "float",
            "float is shipped: no layer of this network can run in INT8",
        )


def _most_of_it(calibration: Artifact) -> list[str]:
    """The layers with most multiplications, so many that less than half of them is left, and at least one layer."""
    macs = weighted_macs(read_calibration(calibration).model)
    heaviest = sorted(macs, key=lambda name: -macs[name])
    return next(
        heaviest[:count]
        for count in range(1, len(heaviest))
        if sum(macs[name] for name in heaviest[:count]) > 0.5 * sum(macs.values())
    )


@pytest.mark.parametrize("given", [{"asked": "int8"}, {"goal": {"require": "int8"}}])
@pytest.mark.parametrize("budget_s", [0, 60])
def test_required_int8_of_a_network_most_of_which_is_to_stay_float_is_an_error(
    calibrated: Calibrated, searched: Callable[..., Decision], given: dict[str, Any], budget_s: float
) -> None:
    nodes = _most_of_it(calibrated[2])

    with pytest.raises(AccuracyError, match="INT8 does not reach the goal") as raised:
        searched(0.5, budget_s=budget_s, export={"float_nodes": nodes}, **given)

    assert raised.value.exit_code == 8
    assert re.fullmatch(
        r"only [\d.]+ % of this network's multiplications can run in INT8, [1-9]\d* of \d+ layers",
        str(raised.value.got),
    )


def test_a_network_most_of_which_is_to_stay_float_is_shipped_in_float_and_the_reason_says_so(
    calibrated: Calibrated, searched: Callable[..., Decision]
) -> None:
    found = searched(0.5, export={"float_nodes": _most_of_it(calibrated[2])})

    assert found.precision == "float"
    assert found.choice.reason.startswith("float is shipped: only ")
    (int8,) = (one for one in found.choice.tried if one.label == found.candidate.label)
    assert int8.outcome.startswith("not INT8: only ")


def test_accuracy_that_nothing_wins_back_ships_float(
    searched: Callable[..., Decision], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module, "MeasuredForms", _Ruined)
    monkeypatch.setattr(_Ruined, "needed", 99)
    found = searched()
    assert found.precision == "float"
    assert "loses 50 points" in found.choice.reason


def test_a_decision_is_made_once(calibrated: Calibrated, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, store, calibration = calibrated
    plan = make_plan(recipe, store, SilentProgress())
    chain = Chain(plan, store, SilentProgress(), lambda _: None)
    artifacts = {ArtifactKind.CALIBRATION: calibration}
    floats = chain.measured(calibration, plan.targets[0])
    first = decide(chain, plan.targets[0], artifacts, floats)
    monkeypatch.delattr(Search, "run")
    assert decide(chain, plan.targets[0], artifacts, floats) == first
    assert kept(Decision, decision_components(plan, plan.targets[0], calibration), store) == first


@pytest.mark.parametrize(
    ("said", "decides"),
    [
        ({"latency": "0.5x"}, False),
        ({"macs": "2M", "size": "0.5x"}, False),
        ({"require": ["goal", "prune"]}, False),
        ({"expect_accuracy": 0.4}, False),
        ({"require": ["goal", "int8"]}, True),
        ({"max_accuracy_drop": 0.02}, True),
        ({"min_agreement": 0.99}, True),
    ],
)
def test_of_a_goal_that_decides_which_the_search_looks_at(
    calibrated: Calibrated, said: dict[str, Any], *, decides: bool
) -> None:
    recipe, store, calibration = calibrated
    plan = make_plan(recipe, store, SilentProgress())
    asked: Any = replace(
        plan, recipe=recipe.model_copy(update={"goal": GoalSection.model_validate(recipe.goal.model_dump() | said)})
    )
    before, now = (decision_components(one, plan.targets[0], calibration) for one in (plan, asked))
    assert (now != before) == decides
    assert before["goal"] == recipe.goal.model_dump(mode="json")  # what stores have of runs without one


@pytest.mark.parametrize(
    ("said", "decides"), [({"seeds": 3}, False), ({"examples": 0}, False), ({"iterations": 7}, True)]
)
def test_what_is_only_shown_beside_the_measurements_decides_nothing(
    calibrated: Calibrated, said: dict[str, Any], *, decides: bool
) -> None:
    recipe, store, calibration = calibrated
    plan = make_plan(recipe, store, SilentProgress())
    asked: Any = replace(plan, recipe=recipe.model_copy(update={"measure": recipe.measure.model_copy(update=said)}))
    before, now = (decision_components(one, plan.targets[0], calibration) for one in (plan, asked))
    assert (now != before) == decides
    assert before["measure"] == recipe.measure.model_dump(mode="json")  # what stores have


@pytest.mark.parametrize("section", ["export", "build", "goal", "measure"])
def test_every_key_of_these_sections_decides(calibrated: Calibrated, section: str) -> None:
    recipe, store, calibration = calibrated
    plan = make_plan(recipe, store, SilentProgress())
    components = decision_components(plan, plan.targets[0], calibration)
    assert set(components[section]) == set(type(getattr(recipe, section)).model_fields)


def test_a_decision_comes_back_from_its_json() -> None:
    trials = Trials("INT8 forms", {"build.budget_s": 60, "goal.min_agreement": None})
    trials.note("mse ranges, ort-x86", "more error than the best", {"noise": 0.1})
    trials.note("mse ranges, ort-x86", "shipped", {"time_ratio": 0.5})
    decision = Decision(
        precision="int8",
        candidate=Candidate(method="mse", dialect="ort-x86", float_nodes=("a", "b"), kept="the 2 worst layers"),
        choice=trials.choice("mse ranges, ort-x86", "a test"),
        options={"spinning": True},
    )
    (one,) = decision.choice.tried
    assert (one.figures, one.outcome) == ({"noise": 0.1, "time_ratio": 0.5}, "shipped")
    assert decision.choice.asked == {"build.budget_s": "60"}
    assert from_json(Decision, as_json(decision)) == decision
