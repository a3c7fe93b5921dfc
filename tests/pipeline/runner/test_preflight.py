"""What is found out before hours are spent: whether what is known to be written fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.chain.chain import Chain
from pipeline.chain.keys import key_components, key_of
from pipeline.chain.plan import make_plan
from pipeline.errors import ResourceError, UsageError
from pipeline.progress import SilentProgress
from pipeline.recipe import GoalSection
from pipeline.runner.preflight import check_precisions, check_room
from pipeline.stage import Inputs
from pipeline.stages.baseline import Baseline
from pipeline.store import KeyRecord, Store

if TYPE_CHECKING:
    from pipeline.recipe import Recipe


@pytest.fixture
def chain(tiny_recipe: Recipe, store: Store) -> Chain:
    progress = SilentProgress()
    return Chain(make_plan(tiny_recipe, store, progress), store, progress, lambda _: None)


def _remembered(chain: Chain) -> None:
    """Let the store have what the first stage makes."""
    first = chain.plan.network_stages()[0]
    components = key_components(
        first, Inputs(artifacts={}, subject=chain.subject.restricted(first.reads)), seed=chain.plan.recipe.seed
    )
    with chain.store.workspace() as folder:
        artifact = chain.store.commit(first.gives, folder, {})
    record = KeyRecord(artifact_sha256=artifact.sha256, components=components, wall_s=1.0, notes=())
    chain.store.remember(key_of(components), record)


def test_less_room_than_the_weights_take_is_told_before_any_training(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "free_bytes", lambda _: 150 << 20)
    check_room(chain, 75 << 20)
    with pytest.raises(ResourceError) as raised:
        check_room(chain, 76 << 20)
    assert str(raised.value) == (
        f"{chain.store.root}: there is not enough room for what this run makes\n"
        "  got: 150.0 MiB free\n"
        "  expected: more than 152.0 MiB: the weights after baseline and distill\n"
        "  fix: free some space, or put the store elsewhere with EDGEWRIGHT_CACHE"
    )
    alone = replace(chain, plan=replace(chain.plan, skipped={**chain.plan.skipped, "distill": "not asked for"}))
    check_room(alone, 150 << 20)


def test_what_was_begun_may_need_little(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "free_bytes", lambda _: 0)
    _remembered(chain)
    check_room(chain, 1 << 30)


def test_the_room_of_a_store_that_is_not_there_yet_is_that_of_its_file_system(tmp_path: Path) -> None:
    assert Store(tmp_path / "not" / "yet").free_bytes() > 0


def _in_fp16(chain: Chain, *stages: str, skipped: str | None = None) -> Chain:
    """The run with these stages trained in fp16."""
    plan = chain.plan
    schedules = {name: getattr(plan.recipe, name).schedule.model_copy(update={"precision": "fp16"}) for name in stages}
    update = {name: getattr(plan.recipe, name).model_copy(update={"schedule": one}) for name, one in schedules.items()}
    recipe = plan.recipe.model_copy(update=update)
    left_out = {**plan.skipped, **({skipped: "not asked for"} if skipped else {})}
    return replace(chain, plan=replace(plan, recipe=recipe, skipped=left_out))


def test_fp16_without_a_gpu_is_told_before_the_stages_in_front_of_it_are_trained(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UsageError) as raised:
        check_precisions(_in_fp16(chain, "distill", "prune"))
    assert str(raised.value) == (
        "distill.schedule.precision, prune.schedule.precision: fp16 is trained in on GPUs only\n"
        "  got: no GPU here\n"
        "  fix: take precision=auto, which is float32 here"
    )
    check_precisions(_in_fp16(chain, "prune", skipped="prune"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    check_precisions(_in_fp16(chain, "distill"))


@pytest.mark.parametrize("skip", [(), ("distill",)])
def test_the_key_that_the_user_wrote_is_told_where_the_baseline_has_no_schedule_of_its_own(
    tiny_recipe: Recipe, store: Store, monkeypatch: pytest.MonkeyPatch, skip: tuple[str, ...]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    schedule = tiny_recipe.distill.schedule.model_copy(update={"precision": "fp16"})
    distill = tiny_recipe.distill.model_copy(update={"schedule": schedule})
    recipe = tiny_recipe.model_copy(update={"baseline": Baseline(), "distill": distill, "skip": skip})
    chain = Chain(make_plan(recipe, store, SilentProgress()), store, SilentProgress(), lambda _: None)

    with pytest.raises(UsageError, match=r"^distill\.schedule\.precision: fp16"):
        check_precisions(chain)


@pytest.mark.parametrize(("goal", "told"), [({}, ("downsample", "prune")), ({"latency": "0.5x"}, ("downsample",))])
def test_what_a_goal_may_leave_out_is_no_certain_training_and_a_size_that_is_given_is(
    tiny_recipe: Recipe, store: Store, monkeypatch: pytest.MonkeyPatch, goal: dict[str, str], told: tuple[str, ...]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    smaller = tiny_recipe.downsample.model_copy(update={"size": 12})
    recipe = tiny_recipe.model_copy(update={"downsample": smaller, "goal": GoalSection.model_validate(goal)})
    chain = Chain(make_plan(recipe, store, SilentProgress()), store, SilentProgress(), lambda _: None)

    with pytest.raises(UsageError) as raised:
        check_precisions(_in_fp16(chain, "downsample", "prune"))

    assert raised.value.where == ", ".join(f"{name}.schedule.precision" for name in told)


def test_where_a_goal_decides_the_size_too_nothing_is_certain_behind_it(
    tiny_recipe: Recipe, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    update = {
        "goal": GoalSection(latency="0.5x"),
        "downsample": tiny_recipe.downsample.model_copy(update={"size": "auto"}),
    }
    plan = make_plan(tiny_recipe.model_copy(update=update), store, SilentProgress())
    assert plan.size_is_open
    check_precisions(_in_fp16(Chain(plan, store, SilentProgress(), lambda _: None), "downsample", "prune"))


def test_what_the_store_has_may_have_been_trained_where_there_was_one_and_what_it_lacks_is_told(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    begun = _in_fp16(chain, "baseline")
    with pytest.raises(UsageError, match=r"^baseline\.schedule\.precision: fp16"):
        check_precisions(begun)
    _remembered(begun)
    check_precisions(begun)
    with pytest.raises(UsageError, match=r"^prune\.schedule\.precision: fp16"):
        check_precisions(_in_fp16(begun, "prune"))
