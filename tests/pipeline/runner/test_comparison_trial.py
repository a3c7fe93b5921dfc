"""What student and teachers are to be compared by is tried before anybody is trained."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.errors import UsageError
from pipeline.models.source import ModelSource
from pipeline.models.weights_preprocess import weights_preprocess
from pipeline.preprocess_section import InputSection
from pipeline.progress import SilentProgress
from pipeline.runner.comparison_trial import _see_the_same, try_comparison
from pipeline.runner.preflight import preflight

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.chain.plan import Plan
    from pipeline.recipe import Recipe
    from pipeline.store import Store

COARSE = """
    from torch import nn

    def net(num_classes):
        mean = nn.AdaptiveAvgPool2d(1)
        return nn.Sequential(nn.Conv2d(3, 8, 5, stride=5), mean, nn.Flatten(), nn.Linear(8, num_classes))
"""


def _plan(recipe: Recipe, store: Store, teacher: str | None = None, **distill: object) -> Plan:
    teachers = {} if teacher is None else {"teachers": (teacher,)}
    changed = recipe.distill.model_copy(update={**teachers, **distill})
    return make_plan(recipe.model_copy(update={"distill": changed}), store, SilentProgress())


@pytest.fixture
def coarse(tmp_path: Path) -> str:
    """A network none of whose layers has a resolution of the tiny network's."""
    path = tmp_path / "coarse.py"
    path.write_text(textwrap.dedent(COARSE), encoding="utf-8")
    return f"{path}:net"


def test_layers_that_do_not_fit_are_refused_before_any_training(tiny_recipe: Recipe, store: Store, coarse: str) -> None:
    plan = _plan(tiny_recipe, store, coarse, losses={"attention": 1.0})
    with pytest.raises(UsageError, match="no layers of the same resolution"):
        preflight(Chain(plan, store, SilentProgress(), lambda _: None))


def test_those_that_fit_are_tried_once(tiny_recipe: Recipe, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _plan(tiny_recipe, store, losses={"attention": 1.0, "kd": 1.0})
    try_comparison(plan, store)
    monkeypatch.setattr("pipeline.training.inside_losses.inside_losses", None)  # would fail if it were called

    try_comparison(plan, store)


def test_where_nothing_inside_is_compared_or_nobody_teaches_no_network_is_built(
    tiny_recipe: Recipe, store: Store, coarse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.models.build.build_network", None)  # would fail if it were called
    try_comparison(_plan(tiny_recipe, store, coarse, losses={"kd": 1.0}), store)
    alone = _plan(tiny_recipe.model_copy(update={"skip": ("distill",)}), store, coarse, losses={"attention": 1.0})

    try_comparison(alone, store)


def test_a_teacher_that_wants_other_channels_cannot_run_beside_its_student(tiny_recipe: Recipe, store: Store) -> None:
    (teacher, *_) = tiny_recipe.distill.teachers or ()
    fed = {teacher: InputSection(channels="BGR")}
    plan = _plan(tiny_recipe, store, str(teacher), losses={"attention": 1.0}, teacher_input=fed)
    with pytest.raises(UsageError, match="is fed what the student is fed") as raised:
        try_comparison(plan, store)

    assert raised.value.expected == "BGR"
    assert plan.renormalising(plan.teachers[0]) is None


@pytest.mark.parametrize("loss", ["features", "attention"])
def test_a_classifier_for_another_size_cannot_run_beside_its_student(
    tiny_recipe: Recipe, store: Store, loss: str
) -> None:
    (teacher, *_) = tiny_recipe.distill.teachers or ()
    fed = {teacher: InputSection(size=(32, 32))}
    plan = _plan(tiny_recipe, store, str(teacher), losses={"kd": 1.0, loss: 1.0}, teacher_input=fed)
    with pytest.raises(UsageError, match="is fed what the student is fed") as raised:
        try_comparison(plan, store)

    student = "x".join(map(str, plan.parts.preprocess.size))
    assert (raised.value.got, raised.value.expected) == (f"{student} for losses of {loss}", "32x32")


def test_one_that_wants_another_mean_and_deviation_is_fed_so_beside_it(tiny_recipe: Recipe, store: Store) -> None:
    """As the detectors in the first example of docs/detection.md, where both have published weights."""
    (teacher, *_) = tiny_recipe.distill.teachers or ()
    student, other = (
        weights_preprocess(ModelSource(origin="torchvision", name=name, task="detection"))
        for name in ("ssdlite320_mobilenet_v3_large", "retinanet_resnet50_fpn_v2")
    )
    plan = _plan(tiny_recipe, store, str(teacher), losses={"attention": 1.0})
    plan = replace(plan.fed(student), teachers=(replace(plan.teachers[0], preprocess=other.at(student.size)),))
    _see_the_same(plan)

    change = plan.renormalising(plan.teachers[0])
    assert change is not None
    assert change.scale[0] == pytest.approx(0.5 / 0.229)
    assert change.offset[0] == pytest.approx((0.5 - 0.485) / 0.229)
    alone = plan.recipe.distill.model_copy(update={"losses": {"kd": 1.0}})
    asked = replace(plan, recipe=plan.recipe.model_copy(update={"distill": alone}))
    assert asked.renormalising(asked.teachers[0]) is None


def test_a_pair_of_layers_that_are_not_there_is_refused_before_any_training(tiny_recipe: Recipe, store: Store) -> None:
    plan = _plan(tiny_recipe, store, losses={"attention": 1.0}, pairs={"stem": "widened"})
    with pytest.raises(UsageError, match="the teacher has no such layer") as raised:
        preflight(Chain(plan, store, SilentProgress(), lambda _: None))
    assert "widen" in (raised.value.expected or "")


def test_pairs_are_named_for_all_teachers_or_for_one(tiny_recipe: Recipe, store: Store) -> None:
    (teacher, *_) = tiny_recipe.distill.teachers or ()
    for pairs in ({"stem": "body"}, {str(teacher): {"stem": "body"}}):
        try_comparison(_plan(tiny_recipe, store, losses={"features": 1.0}, pairs=pairs), store)
    wrong = {str(teacher): {"stem": "widen"}}
    with pytest.raises(UsageError, match="layers of different resolutions"):
        try_comparison(_plan(tiny_recipe, store, losses={"features": 1.0}, pairs=wrong), store)
    with pytest.raises(UsageError, match=r"distill\.pairs is about a teacher that is not named"):
        _plan(tiny_recipe, store, losses={"features": 1.0}, pairs={"resnet18": {"stem": "body"}})
    with pytest.raises(UsageError, match="no loss compares layers"):
        _plan(tiny_recipe, store, losses={"kd": 1.0}, pairs={"stem": "body"})
