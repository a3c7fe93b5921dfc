"""What a schedule may say, and that saying it costs nothing."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from pipeline.training.optimizer import optimizer_of, peak_rate
from pipeline.training.schedule import Schedule

_POSITIVE = st.floats(min_value=1e-6, max_value=1e3)


@settings(deadline=None)
@given(
    st.builds(
        Schedule,
        epochs=st.integers(1, 1000),
        batch_size=st.integers(2, 4096),
        learning_rate=_POSITIVE,
        weight_decay=st.floats(0, 1),
        warmup=st.floats(0.01, 0.99),
        clip_norm=_POSITIVE,
        augment=st.lists(st.sampled_from(["flip", "shift"]), unique=True).map(tuple),
    )
)
def test_every_schedule_survives_the_way_through_json(schedule: Schedule) -> None:
    assert Schedule.model_validate_json(schedule.model_dump_json()) == schedule


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),
        ("epochs", 1.5),
        ("batch_size", 0),
        ("learning_rate", 0),
        ("learning_rate", -1e-3),
        ("weight_decay", -0.1),
        ("warmup", 0),
        ("warmup", 1),
        ("clip_norm", 0),
        ("augment", ("rotate",)),
    ],
)
def test_a_value_that_cannot_be_followed_is_refused_by_its_key(key: str, value: Any) -> None:  # noqa: ANN401 - raw input
    with pytest.raises(ValidationError) as raised:
        Schedule.model_validate({key: value})
    assert {error["loc"][0] for error in raised.value.errors()} == {key}


@pytest.mark.parametrize("key", ["learning_rate", "weight_decay", "clip_norm"])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_number_that_is_not_finite_is_refused(key: str, value: float) -> None:
    # Neither can be part of a stage's key, which is JSON.
    with pytest.raises(ValidationError, match=key):
        Schedule.model_validate({key: value})


def test_batches_of_a_single_image_are_refused() -> None:
    # The loop passes over them, since batch norm cannot learn from one image: nothing at all would be trained.
    with pytest.raises(ValidationError, match="batch_size"):
        Schedule(batch_size=1)


def test_a_misspelt_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="epoch\n"):
        Schedule.model_validate({"epoch": 3})


def test_a_schedule_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Schedule().epochs = 9  # type: ignore[misc]


def test_a_schedule_is_read_without_importing_torch() -> None:
    heavy = "{'torch', 'lightning_fabric', 'numpy'}"
    code = f"import sys, pipeline.training.schedule; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("curve", ["one-cycle", "cosine", "step", "constant"])
@pytest.mark.parametrize("steps", [1, 2, 3, 10, 400])
def test_every_curve_rises_to_the_peak_and_never_above(curve: str, steps: int) -> None:
    rate = Schedule.model_validate({"curve": curve, "warmup": 0.2}).rate_at(steps)
    values = [rate(step) for step in range(steps)]
    assert all(0 < value <= 1 for value in values)
    top = values.index(max(values))
    assert values[: top + 1] == sorted(values[: top + 1])
    assert values[top:] == sorted(values[top:], reverse=True)


@pytest.mark.parametrize("curve", ["one-cycle", "cosine", "step", "constant"])
def test_a_training_of_three_steps_begins_at_its_peak(curve: str) -> None:
    for steps in (1, 2, 3):
        assert Schedule.model_validate({"curve": curve, "warmup": 0.25}).rate_at(steps)(0) == 1.0


def test_the_cosine_falls_as_its_paper_says() -> None:
    rate = Schedule(curve="cosine", warmup=0.1).rate_at(1000)
    rise = 0.1 * 1001 - 1
    for step in (200, 500, 999):
        assert rate(step) == pytest.approx((1 + math.cos(math.pi * (step - rise) / (1000 - rise))) / 2, rel=1e-9)


def test_steps_fall_to_a_tenth_at_half_and_at_three_quarters() -> None:
    rate = Schedule(curve="step", warmup=0.1).rate_at(100)
    assert [rate(step) for step in (20, 49, 50, 74, 75, 99)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_a_constant_rate_stays_at_its_peak() -> None:
    rate = Schedule(curve="constant", warmup=0.1).rate_at(100)
    assert {rate(step) for step in range(10, 100)} == {1.0}


@pytest.mark.parametrize(("epochs", "views"), [(1, 1), (3, 3), (8, 4), (20, 10), (40, 16), (100, 16)])
def test_a_longer_training_asks_teachers_about_more_views(epochs: int, views: int) -> None:
    assert Schedule(epochs=epochs).asked_views == views
    assert Schedule(epochs=epochs, views=2).asked_views == 2
    assert Schedule(epochs=epochs, augment=()).asked_views == 1


@pytest.mark.parametrize(
    ("name", "said", "rate"),
    [
        ("vgg16", None, 1e-4),
        ("alexnet", None, 1e-4),
        ("vgg16", 3e-3, 3e-3),
        ("vgg11_bn", None, 1e-3),
        ("squeezenet1_1", None, 1e-3),
        ("vit_b_16", None, 1e-3),
    ],
)
def test_a_wide_network_that_normalises_nothing_learns_in_smaller_steps(
    name: str, said: float | None, rate: float
) -> None:
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None)
    assert peak_rate(network, Schedule(learning_rate=said)) == rate


def test_a_module_that_is_called_after_normalising_pixels_alone_normalises_no_layer() -> None:
    class Normalise(nn.Module):
        """What users put in front of their networks."""

    assert peak_rate(nn.Sequential(Normalise(), nn.Linear(9000, 2)), Schedule()) == 1e-4


@pytest.mark.parametrize(("optimizer", "rate"), [("adamw", 1e-3), ("sgd", 0.03)])
def test_a_training_leaves_most_of_weights_that_get_no_gradient(optimizer: str, rate: float) -> None:
    """A few epochs of a small data set by each optimiser's own decay."""
    layer = nn.Linear(4, 4)
    before = layer.weight.detach().clone()
    schedule = Schedule.model_validate({"optimizer": optimizer, "learning_rate": rate})
    steps, wrapped = 360, optimizer_of(layer, schedule, rate=rate)
    rate_of = schedule.rate_at(steps)
    for step in range(steps):
        for group in wrapped.param_groups:
            group["lr"] = rate * rate_of(step)
        layer.weight.grad = torch.zeros_like(layer.weight)
        wrapped.step()
    assert float(layer.weight.detach().norm() / before.norm()) > 0.9


def test_a_decay_that_is_part_of_the_gradient_is_a_small_one_unless_said_otherwise() -> None:
    assert [Schedule.model_validate({"optimizer": one}).decay for one in ("adamw", "adam", "sgd")] == [0.05, 5e-4, 5e-4]
    assert Schedule(optimizer="sgd", weight_decay=0.1).decay == 0.1
    assert Schedule(optimizer="sgd", weight_decay=0.0).decay == 0.0
