"""A teacher that answers in another order: by the names of its classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.errors import DataError, UsageError
from pipeline.models.build import build_network
from pipeline.models.files import load_network
from pipeline.models.resolve import resolve_model
from pipeline.progress import SilentProgress
from pipeline.runner.baseline_doubts import doubt_of_teacher
from pipeline.runner.deploy import deploy
from pipeline.training.cached_answers import TeacherAnswers

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.chain.plan import Plan
    from pipeline.recipe import Recipe
    from pipeline.store import Store

_THEIRS = ("red", "blue", "green")
"""The data's are blue, green, red."""


@pytest.fixture
def teacher(tiny_file: Path, tmp_path: Path) -> str:
    """Weights that see which colour there is most of, in the order of the teacher's classes."""
    network = build_network(resolve_model(f"{tiny_file}:tiny"), classes=3)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.zero_()
            if name.endswith("1.weight"):
                parameter.fill_(1.0)  # of the batch norms
        for channel in range(3):
            network.stem[0].weight[channel, channel, 1, 1] = 1.0
            network.depth[0].weight[channel, 0, 1, 1] = 1.0
            network.widen.weight[channel, channel] = 1.0
        for place, name in enumerate(_THEIRS):
            network.head.weight[place, ("red", "green", "blue").index(name)] = 20.0
    file = tmp_path / "theirs.pth"
    torch.save(network.state_dict(), file)
    return f"{tiny_file}:tiny@{file}"


def _plan(recipe: Recipe, store: Store, teacher: str, classes: dict[str, str]) -> Plan:
    distill: dict[str, Any] = {"teachers": [teacher], "teacher_classes": classes}
    fields = {**recipe.model_dump(by_alias=True), "distill": distill}
    return make_plan(type(recipe).model_validate(fields), store, SilentProgress())


def _told(store: Store, plan: Plan) -> tuple[float, float, str | None]:
    """How often the teacher is right on training and test images, and the doubt about it."""
    chain = Chain(plan, store, SilentProgress(), lambda _: None).about(plan.teachers[0])
    result = chain.execute(plan.recipe.baseline, {})
    answers = chain.execute(plan.question(plan.recipe.distill), {result.artifact.kind: result.artifact})
    logits = TeacherAnswers.load(answers.artifact.root).said(torch.arange(len(plan.parts.dataset.train)), 0)["logits"]
    labels = torch.tensor([sample.label for sample in plan.parts.dataset.train])
    measured = chain.measured(result.artifact, plan.targets[0])
    return (
        float((logits.argmax(dim=1) == labels).double().mean()),
        measured.accuracy.value,
        doubt_of_teacher(plan.teachers[0], result.artifact, measured),
    )


@pytest.mark.slow
def test_its_answers_come_in_the_order_of_the_datas_classes(
    tiny_recipe: Recipe, store: Store, teacher: str, tmp_path: Path
) -> None:
    names = tmp_path / "classes.txt"
    names.write_text("\n".join(_THEIRS) + "\n", encoding="utf-8")
    asked, measured, doubt = _told(store, _plan(tiny_recipe, store, teacher, {teacher: str(names)}))
    assert asked > 0.95
    assert measured > 0.95
    assert doubt is None


@pytest.mark.slow
def test_one_whose_order_nobody_names_is_doubted(tiny_recipe: Recipe, store: Store, teacher: str) -> None:
    asked, measured, doubt = _told(store, _plan(tiny_recipe, store, teacher, {}))
    assert asked < 0.05
    assert measured < 0.05
    assert doubt is not None
    assert doubt.startswith("teacher tiny is right on ")
    assert "distill.teacher_classes" in doubt


def test_its_order_is_kept_with_its_network(tiny_recipe: Recipe, store: Store, teacher: str, tmp_path: Path) -> None:
    names = tmp_path / "classes.txt"
    names.write_text("\n".join(_THEIRS), encoding="utf-8")
    plan = _plan(tiny_recipe, store, teacher, {teacher: str(names)})
    (parts,) = plan.teachers
    assert parts.model.columns == (1, 2, 0)
    assert parts.model.identity() != plan.parts.model.identity()
    chain = Chain(plan, store, SilentProgress(), lambda _: None).about(parts)
    root = chain.execute(plan.recipe.baseline, {}).artifact.root
    plain = build_network(plan.parts.model, classes=3)
    plain.load_state_dict(load_network(root, parts.model).state_dict())
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ordered, as_it_is = (network.eval()(images).numpy() for network in (load_network(root, parts.model), plain))
    np.testing.assert_array_equal(ordered, as_it_is[:, [1, 2, 0]])


def test_names_in_the_datas_order_change_nothing(
    tiny_recipe: Recipe, store: Store, teacher: str, tmp_path: Path
) -> None:
    names = tmp_path / "classes.txt"
    names.write_text("blue\ngreen\nred\n", encoding="utf-8")
    assert _plan(tiny_recipe, store, teacher, {teacher: str(names)}).teachers == (
        _plan(tiny_recipe, store, teacher, {}).teachers
    )


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("red\nblue\n", "the teacher's classes lack 'green'"),
        ("red\nblue\ngreen\ngrey\n", "the teacher's classes have 'grey'"),
        ("red\nblue\ngreen\nred\n", "the teacher's classes have 'red'"),
    ],
)
def test_names_that_are_not_those_of_the_data_are_refused(
    tiny_recipe: Recipe, store: Store, teacher: str, tmp_path: Path, written: str, told: str
) -> None:
    names = tmp_path / "classes.txt"
    names.write_text(written, encoding="utf-8")
    with pytest.raises(UsageError, match=told) as raised:
        _plan(tiny_recipe, store, teacher, {teacher: str(names)})
    assert "the names of the data's 3 classes" in (raised.value.expected or "")


def test_a_file_that_is_not_there_is_one_error(tiny_recipe: Recipe, store: Store, teacher: str) -> None:
    with pytest.raises(DataError, match="cannot be read as text"):
        _plan(tiny_recipe, store, teacher, {teacher: "nowhere.txt"})


def test_whoever_is_trained_here_has_no_order_of_its_own(
    tiny_recipe: Recipe, store: Store, tiny_file: Path, tmp_path: Path
) -> None:
    names = tmp_path / "classes.txt"
    names.write_text("red\nblue\ngreen\n", encoding="utf-8")
    with pytest.raises(UsageError, match="this teacher is trained here"):
        _plan(tiny_recipe, store, f"{tiny_file}:tiny@none", {f"{tiny_file}:tiny@none": str(names)})
    with pytest.raises(UsageError, match=r"distill\.teacher_classes is about a teacher that is not named"):
        _plan(tiny_recipe, store, f"{tiny_file}:tiny", {"resnet18": str(names)})


@pytest.mark.slow
def test_the_doubt_stands_in_the_report(tiny_recipe: Recipe, store: Store, teacher: str, tmp_path: Path) -> None:
    recipe = tiny_recipe.model_copy(update={"skip": ("prune",)})
    chain = Chain(_plan(recipe, store, teacher, {}), store, SilentProgress(), lambda _: None)
    (deployed,) = deploy(chain, out=tmp_path / "out")
    assert any("distill.teacher_classes" in doubt for doubt in deployed.report.doubts)
