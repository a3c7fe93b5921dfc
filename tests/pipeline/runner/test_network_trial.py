"""What a network turns out to be before hours are spent on it, and what a run makes of that."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.chain.chain import Chain
from pipeline.chain.goal_checks import check_goal
from pipeline.chain.plan import make_plan
from pipeline.errors import UsageError
from pipeline.progress import SilentProgress
from pipeline.pruning.importance.criteria import CRITERIA
from pipeline.runner import network_trial as module
from pipeline.runner.explain import explain
from pipeline.runner.network_trial import Trial, _open, known_trial, try_network
from pipeline.runner.plan_after_trials import plan_after_trials
from pipeline.runner.preflight import preflight

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from pipeline.chain.plan import Plan
    from pipeline.recipe import Recipe
    from pipeline.store import Store

SOURCE = """
    import torch
    from torch import nn


    class Net(nn.Module):
        kind = "plain"

        def __init__(self, n):
            super().__init__()
            self.stem, self.bn = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16)
            self.mid, self.head, self.side = nn.Conv2d(16, 16, 3), nn.Linear(16, n), nn.Linear(16, n)

        def forward(self, x):
            if self.kind == "buffers":
                self.bn.train()
            x = torch.relu(self.bn(self.stem(x)))
            if self.kind == "batch":
                x = x - x.mean(0, keepdim=True) / 2
            if self.kind == "fixed":
                x = x.reshape(x.shape[0], 16, 16, 16)
            x = self.mid(x).mean((2, 3))
            if self.kind == "auxiliary" and self.training:
                return self.head(x), self.side(x)
            if self.kind == "features":
                return {"features": x, "scores": self.head(x)}
            if self.kind == "broken" and self.training:
                return [None, "nothing"]
            return self.head(x)


    def of(kind):
        def build(num_classes):
            network = Net(num_classes)
            network.kind = kind
            return network
        return build


    def plain(num_classes):
        return of("plain")(num_classes)


    def buffers(num_classes):
        return of("buffers")(num_classes)


    def batch(num_classes):
        return of("batch")(num_classes)


    def fixed(num_classes):
        return of("fixed")(num_classes)


    def auxiliary(num_classes):
        return of("auxiliary")(num_classes)


    def features(num_classes):
        return of("features")(num_classes)


    def broken(num_classes):
        return of("broken")(num_classes)


    def frozen(num_classes):
        return of("plain")(num_classes).requires_grad_(False)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "nets.py"
    path.write_text(textwrap.dedent(SOURCE), encoding="utf-8")
    return path


def _plan(recipe: Recipe, file: Path, kind: str, store: Store, **fields: object) -> Plan:
    return make_plan(recipe.model_copy(update={"model": f"{file}:{kind}", **fields}), store, SilentProgress())


def _trial(plan: Plan, store: Store) -> Trial:
    return try_network(plan, plan.parts, store, prune=True)


def test_the_transform_of_a_detector_by_name_is_asked_too_but_not_ours_of_yolo(
    tiny_recipe: Recipe, file: Path, store: Store
) -> None:
    plan = _plan(tiny_recipe, file, "plain", store)
    said = {"colours": plan.parts not in plan.normalised_as_said, "sides": plan.parts not in plan.sized_as_said}
    for origin, asked in (("torchvision", True), ("yolo", False)):
        parts = replace(plan.parts, model=replace(plan.parts.model, origin=origin))
        found = _open(replace(plan, normalised_as_said=(), sized_as_said=()), parts)
        assert found == {**dict.fromkeys(said, asked), "ratio": False}
    assert _open(plan, plan.parts) == {**said, "ratio": False}
    assert _open(replace(plan, resized_as_said=()), plan.parts) == {**said, "ratio": True}


@pytest.mark.parametrize("kind", ["plain", "auxiliary"])
def test_a_network_that_can_be_pruned_raises_no_doubt(tiny_recipe: Recipe, file: Path, store: Store, kind: str) -> None:
    assert _trial(_plan(tiny_recipe, file, kind, store), store) == Trial()


def test_what_a_network_answers_is_asked_of_it_as_it_was_given(
    tiny_recipe: Recipe, file: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, bool]] = []

    def asked(network: nn.Module, *_: object) -> tuple[str, ...]:
        seen.append({"mean": bool(network.bn.running_mean.any()), "var": bool((network.bn.running_var != 1).any())})
        return ()

    monkeypatch.setattr(module, "_otherwise_deployed", asked)
    _trial(_plan(tiny_recipe, file, "plain", store), store)
    assert seen == [{"mean": False, "var": False}]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("buffers", "changes its own buffers when it answers (bn.running_mean and 2 more)"),
        ("batch", "depends on the other images of its batch"),
    ],
)
def test_a_network_that_is_no_function_of_one_image_is_told(
    tiny_recipe: Recipe, file: Path, store: Store, kind: str, words: str
) -> None:
    (note,) = _trial(_plan(tiny_recipe, file, kind, store), store).notes

    assert words in note


def test_a_network_that_cannot_be_pruned_stays_dense_and_the_plan_says_why(
    tiny_recipe: Recipe, file: Path, store: Store
) -> None:
    chain = Chain(_plan(tiny_recipe, file, "fixed", store), store, SilentProgress(), lambda _: None)

    plan = preflight(chain).plan

    assert "prune" not in [stage.name for stage in plan.network_stages()]
    assert plan.skipped["prune"].startswith("the network stays dense: this network's channels cannot be pruned: ")
    assert plan.notes[-1] == plan.skipped["prune"]


def test_a_goal_for_latency_weighs_the_blocks_of_a_network_whose_channels_cannot_be_followed(
    tiny_recipe: Recipe, file: Path, store: Store
) -> None:
    goal = tiny_recipe.goal.model_copy(update={"latency": "0.5x"})
    plan = _plan(tiny_recipe, file, "fixed", store, goal=goal, skip=("distill",))
    section = tiny_recipe.prune.model_copy(update={"blocks": 0})
    kept = _plan(tiny_recipe, file, "fixed", store, goal=goal, skip=("distill",), prune=section)
    trial = _trial(plan, store)

    weighed = plan_after_trials(plan, [trial])

    assert "prune" not in weighed.skipped
    assert weighed.depth_is_open
    assert not weighed.recipe.prune.cuts_channels
    assert weighed.notes[-1] == f"all channels stay: {trial.unprunable}"
    check_goal(weighed.recipe, weighed.skipped)
    assert "prune" in plan_after_trials(kept, [trial]).skipped


def test_channels_are_judged_as_they_will_be(
    tiny_recipe: Recipe, file: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge() -> Any:  # noqa: ANN401 - torch-pruning has no types
        def judged(group: Any) -> None:  # noqa: ANN401 - as above
            raise NotImplementedError(f"a gradient of {tuple(group[0].dep.target.module.weight.grad.shape)}")

        return judged

    monkeypatch.setitem(CRITERIA, "taylor", judge)
    prune = tiny_recipe.prune.model_copy(update={"importance": "taylor"})

    found = _trial(_plan(tiny_recipe, file, "plain", store, prune=prune), store)

    assert str(found.unprunable).startswith("this network's channels cannot be pruned: NotImplementedError: a gradient")


def test_a_network_whose_parameters_are_all_frozen_is_not_trained_and_needs_weights(
    tiny_recipe: Recipe, file: Path, store: Store, tmp_path: Path
) -> None:
    (weights := tmp_path / "given.pth").write_bytes(b"no test reads them")
    plan = _plan(tiny_recipe, file, "frozen", store, skip=("distill",))
    given = _plan(tiny_recipe, file, "frozen", store, skip=("distill",), weights=str(weights))

    trial = _trial(plan, store)

    assert trial == Trial(untrained="all its parameters are frozen (requires_grad=False)")
    with pytest.raises(UsageError, match="there are no weights for this network, and it cannot be trained") as raised:
        plan_after_trials(plan, [trial])
    assert "requires_grad" in str(raised.value.fix)
    assert plan_after_trials(given, [trial]).skipped["prune"] == f"the network is taken as it is: {trial.untrained}"


def test_what_was_found_out_is_remembered_and_explained(tiny_recipe: Recipe, file: Path, store: Store) -> None:
    plan = _plan(tiny_recipe, file, "fixed", store)
    assert known_trial(plan, plan.parts, store, prune=True) is None

    found = _trial(plan, store)

    assert known_trial(plan, plan.parts, store, prune=True) == found
    told = {one.stage: one for one in explain(plan, store)}
    assert told["prune"].status == "skipped"
    assert told["prune"].reasons[0].startswith("the network stays dense")


def test_pruning_that_is_required_and_cannot_be_done_is_an_error_before_any_training(
    tiny_recipe: Recipe, file: Path, store: Store
) -> None:
    goal = tiny_recipe.goal.model_copy(update={"require": ("prune",)})
    chain = Chain(_plan(tiny_recipe, file, "fixed", store, goal=goal), store, SilentProgress(), lambda _: None)

    with pytest.raises(UsageError, match="this network's channels cannot be pruned") as raised:
        preflight(chain)
    assert raised.value.exit_code == 2


def test_whole_blocks_can_go_though_no_channel_can(tiny_recipe: Recipe, file: Path, store: Store) -> None:
    prune = tiny_recipe.prune.model_copy(update={"ratio": 0.0, "blocks": 1})
    plan = _plan(tiny_recipe, file, "fixed", store, prune=prune)

    with pytest.raises(UsageError, match="not so many residual blocks"):
        _trial(plan, store)

    plan = make_plan(plan.recipe.model_copy(update={"model": "mobilenet_v3_small"}), store, SilentProgress())
    assert _trial(plan, store).unprunable is None


def test_a_layer_to_keep_that_is_not_there_is_told_before_any_training_where_blocks_alone_go(
    tiny_recipe: Recipe, file: Path, store: Store
) -> None:
    prune = tiny_recipe.prune.model_copy(update={"ratio": 0.0, "blocks": 1, "keep": ("hed",)})

    with pytest.raises(UsageError, match="there is no such layer to keep") as raised:
        _trial(_plan(tiny_recipe, file, "fixed", store, prune=prune), store)
    assert raised.value.expected == "did you mean head?"


def test_a_named_output_is_the_answer(tiny_recipe: Recipe, file: Path, store: Store) -> None:
    network = tiny_recipe.network.model_copy(update={"output": "scores"})

    assert _trial(_plan(tiny_recipe, file, "features", store, network=network), store) == Trial()


def test_of_several_outputs_the_one_that_fits_is_the_answer(tiny_recipe: Recipe, file: Path, store: Store) -> None:
    assert _trial(_plan(tiny_recipe, file, "features", store), store) == Trial()


def test_a_network_whose_answer_is_not_found_is_refused_before_any_training(
    tiny_recipe: Recipe, file: Path, store: Store
) -> None:
    with pytest.raises(UsageError, match="the network answers no tensor"):
        _trial(_plan(tiny_recipe, file, "broken", store), store)


@pytest.mark.parametrize(("key", "value"), [("size", 8), ("stem", "doubled")])
def test_what_downsampling_asks_of_a_network_of_one_size_is_told_by_its_own_key(
    tiny_recipe: Recipe, file: Path, store: Store, key: str, value: object
) -> None:
    smaller = tiny_recipe.downsample.model_copy(update={key: value})
    plan = _plan(tiny_recipe, file, "fixed", store, downsample=smaller)
    with pytest.raises(UsageError, match="does not take an input of") as raised:
        _trial(plan, store)
    assert (raised.value.where, raised.value.fix) == (f"downsample.{key}", "leave it out")
