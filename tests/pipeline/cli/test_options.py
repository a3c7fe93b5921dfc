"""The options that several commands share, and the recipe they add up to."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest
from typer.main import get_command

from benchmarks.statistics.margins import EFFORTS
from pipeline.cli.main import app
from pipeline.cli.options import recipe_from, takes_recipe
from pipeline.errors import RecipeError
from pipeline.recipe import Recipe
from pipeline.recipe.reading import QUICK

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "model: resnet34\nseed: 1\nskip: [prune]\ndata: {source: photos}\ndistill: {temperature: 3}\n", encoding="utf-8"
    )
    return path


def test_a_model_alone_gives_the_default_recipe() -> None:
    assert recipe_from("resnet18") == Recipe(model="resnet18")


@pytest.mark.parametrize(
    ("option", "value", "place", "found"),
    [
        ("data", "photos", "data.source", "photos"),
        ("weights", "w.pth", "weights", "w.pth"),
        ("target", ["ort-cpu"], "targets", ("ort-cpu",)),
        ("skip", "distill,prune", "skip", ("distill", "prune")),
        ("skip", " prune , ", "skip", ("prune",)),
        ("input_", "uint8", "build.input", "uint8"),
        ("compute", "sm86, sm89", "build.tensorrt.capabilities", ("sm86", "sm89")),
        ("seed", 5, "seed", 5),
        ("seed", 0, "seed", 0),
        ("settings", ["input.size=128"], "input.size", 128),
        ("settings", ["distill.teachers=[a, b]"], "distill.teachers", ("a", "b")),
    ],
)
def test_an_option_sets_its_key_of_the_recipe(option: str, value: object, place: str, found: object) -> None:
    reached: Any = recipe_from("resnet18", **{option: value})
    for key in place.split("."):
        reached = getattr(reached, key)
    assert reached == found


def test_what_is_not_typed_stays_as_the_file_has_it(file: Path) -> None:
    recipe = recipe_from(recipe=file)
    assert (recipe.model, recipe.seed, recipe.skip, recipe.data.source) == ("resnet34", 1, ("prune",), "photos")


def test_an_option_wins_over_the_file_and_set_over_both(file: Path) -> None:
    recipe = recipe_from("resnet50", recipe=file, seed=2, data="typed", settings=["seed=3"])
    assert (recipe.model, recipe.seed, recipe.data.source) == ("resnet50", 3, "typed")


def test_an_empty_skip_takes_back_what_the_file_skips(file: Path) -> None:
    assert recipe_from(recipe=file, skip="").skip == ()


def test_quick_trains_everything_for_one_epoch_and_touches_nothing_else() -> None:
    recipe = recipe_from("resnet18", quick=True)
    assert recipe.baseline.schedule is not None
    schedules = (
        recipe.baseline.schedule,
        recipe.distill.schedule,
        recipe.distill.teacher_schedule,
        recipe.prune.schedule,
    )
    assert [schedule.epochs for schedule in schedules] == [1, 1, 1, 1]
    assert recipe.data.calibration_images == 64
    plain = recipe_from("resnet18")
    changed = {name for name in Recipe.model_fields if getattr(recipe, name) != getattr(plain, name)}
    assert changed == {key.partition(".")[0] for key in QUICK}


def test_set_wins_over_quick() -> None:
    recipe = recipe_from("resnet18", quick=True, settings=["prune.schedule.epochs=7"])
    assert recipe.prune.schedule.epochs == 7


def test_a_mistake_in_an_option_is_said_to_come_from_the_command_line() -> None:
    with pytest.raises(RecipeError) as raised:
        recipe_from("resnet18", seed=-1)
    assert str(raised.value) == "command line: seed: Input should be greater than or equal to 0\n  got: -1"


def test_a_command_that_takes_a_recipe_has_the_shared_options_and_then_its_own() -> None:
    def command(recipe: Recipe, out: int = 3) -> None:
        """What it does."""

    taken = takes_recipe()(command)
    shared = list(inspect.signature(recipe_from).parameters)
    parameters = inspect.signature(taken).parameters
    assert list(parameters) == [*shared, "out"]
    assert parameters["out"].default == 3
    assert all(one.kind is inspect.Parameter.KEYWORD_ONLY for one in parameters.values())
    assert (taken.__name__, taken.__doc__) == ("command", "What it does.")


def test_options_that_would_do_nothing_are_left_out() -> None:
    def command(recipe: Recipe) -> None:
        """What it does."""

    parameters = inspect.signature(takes_recipe(without=("quick", "compute"))(command)).parameters
    assert set(inspect.signature(recipe_from).parameters) - set(parameters) == {"quick", "compute"}


def test_quick_leaves_what_is_typed_beside_it() -> None:
    assert recipe_from("resnet18", quick=True, budget="5s").build.budget_s == 5.0
    assert recipe_from("resnet18", quick=True).build.budget_s == QUICK["build.budget_s"]


WITHOUT = {
    "deploy": set(),
    "recipe": set(),
    "explain": set(),  # says why a deploy with the same options would run
    "compare": {"compute", "seeds"},
    "preprocess": {
        "target", "skip", "input_", "nms", "goal", "require", "expect_accuracy", "teacher", "seeds", "budget",
        "compute", "quick",
    },
    "answers": {
        "target", "skip", "input_", "nms", "goal", "require", "expect_accuracy", "teacher", "student", "seeds",
        "budget", "compute", "quick",
    },
}  # fmt: skip
"""Command to the options that would do nothing there."""


def test_every_command_that_takes_a_recipe_shows_what_it_uses_and_no_more() -> None:
    shared = set(inspect.signature(recipe_from).parameters)
    shown = {name: {one.name for one in command.params} for name, command in get_command(app).commands.items()}
    taking = {name: shared - options for name, options in shown.items() if "settings" in options}

    assert taking == WITHOUT


def test_what_the_help_says_of_an_effort_is_what_it_does() -> None:
    shown = {
        name: {one.name: one.help for one in command.params} for name, command in get_command(app).commands.items()
    }
    asked = {("gate", "quick"): "quick", ("gate", "strict"): "strict", ("compare", "fewer"): "quick"}
    for (command, option), effort in asked.items():
        text = shown[command][option]
        assert f"{EFFORTS[effort].processes} processes a look, at most {EFFORTS[effort].looks} looks" in text
        assert f"one false alarm in {1 / EFFORTS[effort].alpha:.0f} gates" in text


def test_a_command_that_takes_a_recipe_is_handed_it_with_its_own_options() -> None:
    seen: list[tuple[Recipe, int]] = []

    def command(recipe: Recipe, out: int) -> None:
        seen.append((recipe, out))

    nothing = dict.fromkeys(inspect.signature(recipe_from).parameters)
    takes_recipe()(command)(**{**nothing, "model": "resnet18", "quick": False, "out": 4})
    assert seen == [(Recipe(model="resnet18"), 4)]
