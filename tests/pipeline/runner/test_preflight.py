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
from pipeline.runner.preflight import check_precisions, check_room
from pipeline.stage import Inputs
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
    record = KeyRecord(artifact_sha256="0" * 64, components=components, wall_s=1.0, notes=())
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


def test_what_was_begun_may_have_been_trained_where_there_was_one(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    _remembered(chain)
    check_precisions(_in_fp16(chain, "prune"))
