"""Trainings in bf16 on a CPU that does not multiply it are told, by the keys that ask for them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pipeline.chain.slow_bf16 import slow_bf16
from pipeline.recipe import Recipe

BF16 = {"schedule": {"precision": "bf16"}}


def _recipe(**fields: Any) -> Recipe:  # noqa: ANN401 - raw input
    return Recipe.model_validate({"model": "resnet18", **fields})


@pytest.fixture(autouse=True)
def _a_cpu_without_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.environment._cpu_name_and_flags", lambda: ("Zen 3", frozenset({"avx2", "fma"})))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_it_is_told_with_the_key_the_cost_and_the_cure() -> None:
    assert slow_bf16(_recipe(distill=BF16), {}) == (
        "distill.schedule.precision: this CPU does not multiply bf16, so that a training step takes many times as long "
        "as in float32 (8 to 14 times where it was measured); precision=auto takes float32 here"
    )


@pytest.mark.parametrize(
    ("fields", "skipped", "keys"),
    [
        ({"baseline": BF16, "prune": BF16}, (), "baseline.schedule.precision and prune.schedule.precision"),
        ({"distill": {"teacher_schedule": BF16["schedule"]}}, (), "distill.teacher_schedule.precision"),
        ({"distill": BF16}, ("distill",), "distill.schedule.precision"),  # by it the baseline is trained
        ({"downsample": {**BF16, "size": 128}}, (), "downsample.schedule.precision"),
        ({"downsample": BF16, "goal": {"latency": "0.5x"}}, (), "downsample.schedule.precision"),
    ],
)
def test_every_key_that_asks_for_it_is_named(fields: dict[str, Any], skipped: tuple[str, ...], keys: str) -> None:
    told = slow_bf16(_recipe(**fields), dict.fromkeys(skipped, "skipped on request"))

    assert told is not None
    assert told.startswith(f"{keys}: this CPU")


@pytest.mark.parametrize(
    ("fields", "skipped"),
    [
        ({}, ()),
        ({"distill": {"schedule": {"precision": "float32"}}}, ()),
        ({"prune": BF16}, ("prune",)),
        ({"distill": {"teacher_schedule": BF16["schedule"]}}, ("distill",)),
        ({"distill": BF16, "baseline": {"schedule": {"epochs": 1}}}, ("distill",)),
        ({"downsample": BF16}, ()),
    ],
)
def test_nothing_is_told_where_no_training_asks_for_it(fields: dict[str, Any], skipped: tuple[str, ...]) -> None:
    assert slow_bf16(_recipe(**fields), dict.fromkeys(skipped, "skipped on request")) is None


@pytest.mark.parametrize(
    ("fields", "skipped", "sure"),
    [
        ({"distill": BF16}, ("distill", "prune"), False),
        ({"baseline": BF16}, ("distill", "prune"), False),
        ({"distill": BF16}, ("prune",), True),
        ({"baseline": BF16, "prune": BF16}, ("distill",), True),
    ],
)
def test_of_a_network_that_comes_trained_it_is_told_whether_anything_is_trained_at_all(
    fields: dict[str, Any], skipped: tuple[str, ...], *, sure: bool
) -> None:
    reasons = dict.fromkeys(skipped, "skipped on request")
    told = slow_bf16(_recipe(**fields), reasons, comes_trained=True)

    assert told is not None
    assert ("precision, should the weights not fit the data, so that the baseline is trained: this" in told) is not sure
    from_scratch = slow_bf16(_recipe(**fields), reasons)
    assert from_scratch is not None
    assert "should" not in from_scratch


@pytest.mark.parametrize("flags", [("avx2", "avx512_bf16"), ("asimd", "bf16"), ()])
def test_nothing_is_told_of_a_cpu_that_multiplies_it_or_does_not_say(
    flags: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.environment._cpu_name_and_flags", lambda: ("some CPU", frozenset(flags)))
    assert slow_bf16(_recipe(distill=BF16), {}) is None


def test_nothing_is_told_where_a_gpu_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert slow_bf16(_recipe(distill=BF16), {}) is None
