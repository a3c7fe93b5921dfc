"""A baseline that is fed wrongly is told beside the verdict, and where an accuracy was expected it ends the run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import pytest
import torch
from PIL import Image

from exporters.bundle import read_bundle
from pipeline.chain.chain import Chain
from pipeline.chain.plan import make_plan
from pipeline.errors import AccuracyError, RecipeError, UsageError
from pipeline.models import WeightsSource
from pipeline.models.build import build_network
from pipeline.plain_markdown import line
from pipeline.progress import SilentProgress
from pipeline.recipe import Recipe
from pipeline.recipe.reading import read_recipe
from pipeline.runner.baseline_doubts import check_expectation, doubt_of_teacher, doubts_of
from pipeline.runner.deploy import deploy
from pipeline.runner.preflight import preflight
from pipeline.stages.baseline import Baseline
from pipeline.store import Store
from pipeline.tasks.classification import Classification
from pipeline.training.batch_norm import reestimate_batch_norm
from pipeline.training.images import TrainingImages

if TYPE_CHECKING:
    from exporters.bundle import Bundle
    from pipeline.chain.plan import Plan
    from pipeline.subject import Parts

TINY_SIDE = 16
"""Pixels that the tiny network takes."""
NEAR_CHANCE = "guessing the commonest class on 33.33 %"


@pytest.fixture(scope="module")
def file(trained: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network that tells the three colours apart when it is fed with mean 0.5 and deviation 0.25."""
    return Path(shutil.copyfile(trained.root.with_name("float.onnx"), tmp_path_factory.mktemp("given") / "tiny.onnx"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("doubts-store"))


def _plan(file: Path, tiny_recipe: Recipe, store: Store, **fields: Any) -> Plan:  # noqa: ANN401 - sections
    value = {**tiny_recipe.model_dump(by_alias=True), "model": str(file), "distill": {}, **fields}
    return make_plan(Recipe.model_validate(value), store, SilentProgress())


def _measured(value: float, n: int = 72) -> Any:  # noqa: ANN401 - as far as it is looked at
    return SimpleNamespace(accuracy=SimpleNamespace(value=value, n=n, metric="top1"))


def _outcomes(value: float | None) -> Any:  # noqa: ANN401 - as above
    measured = None if value is None else _measured(value)
    return [SimpleNamespace(measured=measured, preprocess=SimpleNamespace(size=(TINY_SIDE, TINY_SIDE)))]


def test_a_good_baseline_raises_no_doubt(file: Path, tiny_recipe: Recipe, store: Store) -> None:
    assert doubts_of(_plan(file, tiny_recipe, store), _outcomes(0.9)) == ()
    assert doubts_of(_plan(file, tiny_recipe, store), _outcomes(None)) == ()


@pytest.mark.parametrize(("value", "doubted"), [(0.33, True), (0.45, True), (0.48, False)])
def test_a_baseline_near_chance_is_doubted(
    file: Path, tiny_recipe: Recipe, store: Store, value: float, *, doubted: bool
) -> None:
    told = doubts_of(_plan(file, tiny_recipe, store), _outcomes(value))

    assert [NEAR_CHANCE in doubt and "`edgewright preprocess " in doubt for doubt in told] == [True] * doubted


def test_a_network_that_was_trained_here_is_told_to_have_learned_too_little(tiny_recipe: Recipe, store: Store) -> None:
    (doubt,) = doubts_of(make_plan(tiny_recipe, store, SilentProgress()), _outcomes(0.34))

    assert "hardly learned anything: raise baseline.schedule.epochs" in doubt


@pytest.mark.parametrize(
    ("skip", "keys"),
    [
        ((), "distill.schedule.epochs, and baseline.schedule.epochs where the recipe has one"),
        (("distill",), "baseline.schedule.epochs"),
    ],
)
def test_a_baseline_that_is_trained_as_its_taught_twin_is_to_be_trained_longer_with_it(
    tiny_recipe: Recipe, store: Store, skip: tuple[str, ...], keys: str
) -> None:
    recipe = tiny_recipe.model_copy(update={"baseline": Baseline(), "skip": skip})
    plan = make_plan(recipe, store, SilentProgress())
    written_out = make_plan(plan.recipe.model_copy(update={"skip": skip}), store, SilentProgress())

    for one in plan, written_out:
        (doubt,) = doubts_of(one, _outcomes(0.34))
        assert doubt.endswith(f"hardly learned anything: raise {keys}")


@pytest.mark.parametrize(("std", "doubted"), [(0.25, False), (2.0, True)])
def test_given_weights_that_remember_other_values_are_doubted_before_a_training_makes_them_forget(
    tiny_recipe: Recipe, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, std: float, *, doubted: bool
) -> None:
    """They were trained with a deviation of 0.25; the student and its teacher are the same network."""
    plan = make_plan(tiny_recipe, store, SilentProgress())
    network = build_network(plan.parts.model, classes=len(plan.parts.dataset.classes)).train()
    images = TrainingImages(plan.parts.dataset.train, plan.parts.preprocess, SilentProgress(), Classification())
    reestimate_batch_norm(network, images, batch_size=24)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    told: list[str] = []
    progress = SilentProgress()
    monkeypatch.setattr(progress, "note", told.append)
    value = tiny_recipe.model_dump(by_alias=True)
    fed = {"weights": str(tmp_path / "w.pth"), "input": {**value["input"], "std": std}}
    given = make_plan(Recipe.model_validate({**value, **fed}), store, progress)

    plan = preflight(Chain(given, store, progress, lambda _: None)).plan

    assert "prune" not in plan.skipped
    doubts = doubts_of(plan, _outcomes(0.9))
    assert ["the first layer sees other values than in training" in doubt for doubt in doubts] == [True] * doubted
    assert [text for text in told if text.startswith("doubt: ")] == [f"doubt: {doubt}" for doubt in doubts]
    assert preflight(Chain(given, store, progress, lambda _: None)).plan.doubts == plan.doubts  # remembered


@pytest.mark.parametrize(("side", "doubted"), [(8, True), (16, False), (250, False), (256, True)])
def test_images_of_quite_another_size_are_doubted(
    file: Path, tiny_recipe: Recipe, store: Store, tmp_path: Path, side: int, *, doubted: bool
) -> None:
    """The network takes 16 pixels."""
    for split in ("train", "val"):
        for number, name in enumerate(("blue", "green", "red")):
            (tmp_path / "images" / split / name).mkdir(parents=True)
            for copy in range(20):
                image = Image.new("RGB", (side, side + 3), (number, copy, len(split)))
                image.save(tmp_path / "images" / split / name / f"{copy}.png")
    plan = _plan(file, tiny_recipe, store, data={"source": str(tmp_path / "images")})

    told = doubts_of(plan, _outcomes(0.9))

    assert [doubt.startswith(f"the images are about {side} pixels") for doubt in told] == [True] * doubted


@pytest.mark.parametrize(
    ("value", "origin", "facts", "asked"),
    [
        (0.34, "file", {}, "distill.teacher_classes"),
        (0.34, "pretrained", {}, "distill.teacher_classes"),
        (0.9, "file", {}, None),
        (None, "file", {}, None),
        (0.34, "scratch", {"training": []}, "distill.teacher_schedule.epochs"),
        (0.9, "scratch", {"training": []}, None),
        (0.34, "file", {"training": []}, "distill.teacher_schedule.epochs"),  # its head did not fit: trained here
    ],
)
def test_a_teacher_near_chance_is_doubted_and_what_may_mend_it_is_named(
    session_parts: Parts,
    value: float | None,
    origin: Literal["file", "pretrained", "scratch"],
    facts: dict[str, Any],
    asked: str | None,
) -> None:
    teacher = replace(session_parts, weights=WeightsSource(origin=origin))
    measured = None if value is None else _measured(value)
    doubt = doubt_of_teacher(teacher, SimpleNamespace(facts=facts), measured)  # type: ignore[arg-type] # as above

    assert (doubt is not None) == (asked is not None)
    assert doubt is None or (NEAR_CHANCE in doubt and str(asked) in doubt)


# The accuracy that is expected


@pytest.mark.parametrize(
    ("expected", "value"), [(None, 0.1), (0.5, 0.5), (0.5, 0.9), (0.5, 0.4), (1.0, 1.0), (0.0, 0.0)]
)
def test_what_chance_explains_is_no_mismatch(
    file: Path, tiny_recipe: Recipe, store: Store, expected: float | None, value: float
) -> None:
    check_expectation(_plan(file, tiny_recipe, store, goal={"expect_accuracy": expected}), _measured(value))


@pytest.mark.parametrize(("expected", "value", "n"), [(0.5, 0.3, 72), (1.0, 71 / 72, 72), (0.5, 0.45, 2000)])
def test_less_than_that_is_one(
    file: Path, tiny_recipe: Recipe, store: Store, expected: float, value: float, n: int
) -> None:
    plan = _plan(file, tiny_recipe, store, goal={"expect_accuracy": expected})

    with pytest.raises(AccuracyError, match="less accurate than expected") as told:
        check_expectation(plan, _measured(value, n))

    assert told.value.exit_code == 8
    assert "edgewright preprocess" in (told.value.fix or "")


def test_it_is_typed_as_a_share_or_in_percent() -> None:
    for text in ("40%", "0.4", 0.4):
        recipe = read_recipe(None, {"model": "resnet18", "goal.expect_accuracy": text})
        assert recipe.goal.expect_accuracy == pytest.approx(0.4)
    for text in ("40x", "x%", 40, "140%"):
        with pytest.raises(RecipeError, match=r"goal\.expect_accuracy"):
            read_recipe(None, {"model": "resnet18", "goal.expect_accuracy": text})


def test_it_cannot_be_expected_where_nothing_can_be_measured(
    file: Path, tiny_recipe: Recipe, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from exporters.ort_cpu.target import OrtCpuTarget

    monkeypatch.setattr(OrtCpuTarget, "cannot_run", lambda _: "a test")

    with pytest.raises(UsageError, match="no target can run here to measure it"):
        _plan(file, tiny_recipe, store, goal={"expect_accuracy": 0.9})


# The whole run


@pytest.mark.usefixtures("scored_here")
def test_a_wrongly_fed_network_ends_before_anything_is_built(
    file: Path, tiny_recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    fed = {"input": {"size": 16, "resize": "squash", "mean": 0.5, "std": 100.0}, "goal": {"expect_accuracy": 0.9}}
    told: list[str] = []
    plan = _plan(file, tiny_recipe, store, **fed)

    with pytest.raises(AccuracyError, match="less accurate than expected"):
        deploy(Chain(plan, store, SilentProgress(), lambda one: told.append(one.result.stage)), out=tmp_path / "out")

    assert told == []
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("scored_here")
def test_what_was_assumed_and_doubted_stands_beside_the_verdict_everywhere(
    file: Path, tiny_recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    plan = _plan(file, tiny_recipe, store, input={"resize": "squash", "std": 100.0})
    (deployed,) = deploy(Chain(plan, store, SilentProgress(), lambda _: None), out=tmp_path)
    report = deployed.report

    (assumed,) = report.assumed
    assert assumed.startswith("mean taken as ImageNet's custom; set input.mean if")
    assert any(NEAR_CHANCE in doubt for doubt in report.doubts)
    first = (tmp_path / "report.md").read_text(encoding="utf-8").partition("# ")[0]
    assert f"- assumed: {line(assumed)}\n" in first
    assert "- doubt: " in first
    assert assumed.replace("'", "&#39;") in (tmp_path / "report.html").read_text(encoding="utf-8").partition("<h1>")[0]
    carried = (read_bundle(tmp_path / "bundle").root / "README.md").read_text(encoding="utf-8")
    assert line(assumed) in carried
    for doubt in report.doubts:
        assert f"Doubtful when it was made: {line(doubt.replace(str(file), file.name))}\n" in carried
    assert str(file.parent) not in carried
