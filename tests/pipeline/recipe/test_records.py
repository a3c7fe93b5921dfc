"""The recipe's records: what they take, what they refuse, and that each stage's section is the stage."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from exporters.build_options import Build
from pipeline.preprocess import PreprocessSpec
from pipeline.recipe import GoalSection, InputSection, MeasureSection, Recipe
from pipeline.recipe.records import SKIPPABLE
from pipeline.stages.build import BuildFor
from pipeline.stages.export import Export, ExportFor

BASE = PreprocessSpec(size=(10, 20), resize=30, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), interpolation="bicubic")
SECTIONS = [name for name, field in Recipe.model_fields.items() if isinstance(field.default, BaseModel)]
FRACTIONS = st.floats(0.125, 1)
THREE = st.tuples(FRACTIONS, FRACTIONS, FRACTIONS)
SIDES = st.integers(1, 500)
OVERRIDES = st.fixed_dictionaries(
    {},
    optional={
        "size": st.tuples(SIDES, SIDES),
        "resize": SIDES | st.just("squash"),
        "mean": THREE,
        "std": THREE,
        "interpolation": st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"]),
        "channels": st.sampled_from(["RGB", "BGR"]),
    },
)


def _refused(**fields: Any) -> list[tuple[str | int, ...]]:  # noqa: ANN401 - raw input
    """Where a recipe with these fields is wrong."""
    with pytest.raises(ValidationError) as raised:
        Recipe.model_validate({"model": "a", **fields})
    return [error["loc"] for error in raised.value.errors()]


def test_a_model_is_all_that_a_recipe_needs() -> None:
    recipe = Recipe(model="resnet18")
    assert (recipe.data.source, recipe.weights, recipe.targets) == ("digits", None, ("ort-cpu",))
    assert (recipe.skip, recipe.seed, recipe.task) == ((), 0, "classification")
    assert (recipe.goal.max_accuracy_drop, recipe.goal.require) == (0.01, ())
    assert (recipe.build.precision, recipe.measure.profile) == ("auto", "quick")


def test_the_schema_is_written_without_the_underscore_that_pydantic_needs() -> None:
    recipe = Recipe.model_validate({"schema": "edgewright.recipe/1", "model": "a"})
    assert recipe.model_dump(by_alias=True)["schema"] == "edgewright.recipe/1"


@pytest.mark.parametrize("section", SECTIONS)
def test_no_section_takes_a_key_it_does_not_know(section: str) -> None:
    assert _refused(**{section: {"unknown": 1}}) == [(section, "unknown")]


def test_a_recipe_takes_no_key_it_does_not_know() -> None:
    assert _refused(unknown=1) == [("unknown",)]


@pytest.mark.parametrize("section", SECTIONS)
def test_sections_do_not_change(section: str) -> None:
    record = getattr(Recipe(model="a"), section)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(record, next(iter(type(record).model_fields)), 1)


def test_a_recipe_does_not_change() -> None:
    recipe = Recipe(model="a")
    with pytest.raises(ValidationError, match="frozen"):
        recipe.seed = 1


def test_the_stages_that_can_be_skipped_are_those_the_key_skip_takes() -> None:
    (allowed, _) = get_args(Recipe.model_fields["skip"].annotation)
    assert get_args(allowed) == SKIPPABLE


@pytest.mark.parametrize("name", ["baseline", "distill", "prune", "calibrate"])
def test_the_section_of_a_stage_is_the_stage(name: str) -> None:
    stage = getattr(Recipe(model="a"), name)
    assert stage.name == name
    assert callable(stage.run)


@pytest.mark.parametrize(("section", "stage"), [(Export, ExportFor), (Build, BuildFor)])
def test_the_section_of_a_stage_that_depends_on_the_target_has_the_name_of_the_stage(
    section: type[BaseModel], stage: type[BaseModel]
) -> None:
    assert Recipe.model_fields[stage.name].annotation is section


@pytest.mark.parametrize(
    ("section", "fields"),
    [
        ("data", {"calibration_images": 0}),
        ("goal", {"max_accuracy_drop": -0.01}),
        ("goal", {"max_accuracy_drop": 1.01}),
        ("goal", {"max_accuracy_drop": float("nan")}),
        ("measure", {"profile": "fast"}),
        ("measure", {"processes": 0}),
        ("measure", {"iterations": 0}),
        ("measure", {"threads": 0}),
        ("calibrate", {"opset": 16}),
        ("calibrate", {"opset": 21}),
        ("export", {"method": "guess"}),
        ("build", {"precision": "int4"}),
        ("distill", {"teachers": []}),
        ("distill", {"weight": 1.1}),
        ("distill", {"temperature": 0}),
        ("distill", {"temperature": float("inf")}),
        ("prune", {"ratio": -0.1}),
        ("prune", {"ratio": 1}),
        ("prune", {"rounds": 0}),
        ("prune", {"round_to": 0}),
        ("prune", {"temperature": float("inf")}),
        ("input", {"interpolation": "area"}),
    ],
    ids=str,
)
def test_a_value_out_of_its_range_is_refused_at_its_key(section: str, fields: dict[str, Any]) -> None:
    assert _refused(**{section: fields}) == [(section, *fields)]


@pytest.mark.parametrize(
    "fields",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": 0},
        {"learning_rate": float("inf")},
        {"weight_decay": -1},
        {"weight_decay": float("inf")},
        {"warmup": 0},
        {"warmup": 1},
        {"clip_norm": 0},
        {"clip_norm": float("inf")},
    ],
    ids=str,
)
def test_a_schedule_out_of_its_range_is_refused_at_its_key(fields: dict[str, Any]) -> None:
    assert _refused(prune={"schedule": fields}) == [("prune", "schedule", *fields)]


@pytest.mark.parametrize("value", [-1, 2**31, 1.5, None])
def test_a_seed_is_a_whole_number_that_every_library_takes(value: float | None) -> None:
    assert _refused(seed=value) == [("seed",)]


def test_a_recipe_is_for_one_target_at_least() -> None:
    assert _refused(targets=[]) == [("targets",)]


@pytest.mark.parametrize("stage", ["baseline", "calibrate", "export", "build"])
def test_a_stage_that_makes_what_the_device_loads_cannot_be_skipped(stage: str) -> None:
    assert _refused(skip=[stage]) == [("skip", 0)]


@given(OVERRIDES)
def test_what_is_given_replaces_the_preprocessing_and_the_rest_stays(given_fields: dict[str, Any]) -> None:
    spec = InputSection.model_validate(given_fields).over(BASE)
    assert spec.model_dump() == {**BASE.model_dump(), **given_fields}


def test_nothing_given_leaves_the_preprocessing_as_it_is() -> None:
    assert InputSection().over(BASE) == BASE


def test_one_number_is_a_square_and_serves_all_channels() -> None:
    spec = InputSection(size=7, mean=0.5, std=1).over(BASE)
    assert (spec.size, spec.mean, spec.std) == ((7, 7), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))


def test_a_letterbox_over_another_way_and_the_other_way_round() -> None:
    boxed = InputSection(resize="letterbox", fill=0).over(BASE)

    assert (boxed.resize, boxed.fill, boxed.place, boxed.size) == ("letterbox", 0, "centre", BASE.size)
    assert InputSection(place="corner").over(boxed).model_dump() == {**boxed.model_dump(), "place": "corner"}
    assert InputSection(resize=30).over(boxed) == BASE
    assert InputSection.model_validate(boxed.model_dump()).over(BASE) == boxed


@given(OVERRIDES)
def test_a_full_preprocessing_given_as_input_wins_over_any_base(other: dict[str, Any]) -> None:
    section = InputSection.model_validate(BASE.model_dump())
    assert section.over(PreprocessSpec.model_validate({**BASE.model_dump(), **other})) == BASE


@pytest.mark.parametrize("record", [GoalSection, MeasureSection, InputSection])
def test_a_section_can_be_left_empty(record: type[BaseModel]) -> None:
    assert record.model_validate({}) == record()


def test_gray_over_colours_has_one_mean_and_what_is_given_stays() -> None:
    from pipeline.preprocess import PreprocessSpec
    from pipeline.recipe import InputSection

    base = PreprocessSpec(size=(8, 8), mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5))

    assert InputSection(channels="gray").over(base).mean == (0.2,)
    assert InputSection(channels="gray", mean=0.7).over(base).mean == (0.7,)
    assert InputSection(channels="RGB").over(InputSection(channels="gray").over(base)).std == (0.5, 0.5, 0.5)
