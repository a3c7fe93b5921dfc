"""A fleet's file gives every combination as a cell; a wrong one is one message with its place."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RecipeError, UsageError
from pipeline.fleet.cells import Cell, cells_of, read_fleet

Written = Callable[[str], Path]
Cells = Callable[[str], tuple[Cell, ...]]


def _told(written: Written, text: str) -> str:
    path = written(text)
    with pytest.raises(UsageError) as raised:
        cells_of(read_fleet(path), path)
    return str(raised.value)


def test_every_combination_is_a_cell_in_the_order_of_the_file(cells: Cells) -> None:
    found = cells("models: [resnet18, resnet34]\ndata: [digits, mine]\ntargets: [ort-cpu, openvino]\n")
    assert [cell.name for cell in found] == [
        f"{model} {data} {target}"
        for model in ("resnet18", "resnet34")
        for data in ("digits", "mine")
        for target in ("ort-cpu", "openvino")
    ]
    assert {cell.recipe.targets for cell in found} == {("ort-cpu",), ("openvino",)}
    assert {cell.recipe.data.source for cell in found} == {"digits", "mine"}


def test_a_model_alone_is_one_cell_with_the_defaults_of_deploy(cells: Cells) -> None:
    (cell,) = cells("models: [resnet18]\n")
    assert (cell.name, cell.axes.data, cell.axes.recipe, cell.axes.device) == ("resnet18", "own", "default", "here")
    assert "source" not in cell.recipe.data.model_fields_set  # so that a detector gets the digits of its kind
    assert cell.recipe.targets == ("ort-cpu",)


def test_every_cell_has_a_folder_of_its_own(cells: Cells) -> None:
    found = cells("models: [{model: 'nets/a.py:build', name: ../a b}]\ndata: [/my/photos]\ntargets: [ort-cpu]\n")
    assert [str(cell.folder) for cell in found] == ["cells/a-b/photos/default/ort-cpu/here"]


def test_a_folder_of_images_goes_by_its_own_name_or_the_one_that_it_is_given(cells: Cells) -> None:
    found = cells(
        "models: [a]\ndata: [~/photos, x/y/, {source: ~/other/photos, name: others}, 'torchvision:CIFAR10', .]\n"
    )
    assert [(cell.axes.data, cell.recipe.data.source) for cell in found] == [
        ("photos", "~/photos"),
        ("y", "x/y/"),
        ("others", "~/other/photos"),
        ("torchvision:CIFAR10", "torchvision:CIFAR10"),
        (".", "."),
    ]


def test_long_names_that_begin_alike_have_folders_of_their_own(cells: Cells) -> None:
    long = "data/" + 20 * "project/"
    found = cells(f"models: [{{model: a, name: {long}first}}, {{model: b, name: {long}second}}]\n")
    folders = [cell.folder.parts[1] for cell in found]
    assert len(set(folders)) == 2
    assert {(len(folder), folder[:71]) for folder in folders} == {(80, long.strip("/").replace("/", "-")[:71])}


def test_cells_that_differ_have_names_that_differ(written: Written) -> None:
    told = _told(
        written,
        "models: [{model: a, name: net}, {model: b, name: net small}]\n"
        "recipes: [{name: small half}, {name: half}]\n",
    )  # fmt: skip
    assert told == (
        "fleet.yaml: cells that differ have one name\n  got: net small half\n"
        "  fix: give models and recipes names without blanks"
    )


def test_a_recipe_is_a_file_quick_and_settings_in_this_order(cells: Cells, tmp_path: Path) -> None:
    (tmp_path / "half.yaml").write_text("seed: 1\nprune: {ratio: 0.25}\nbuild: {budget_s: 7}\n", encoding="utf-8")
    (cell,) = cells("models: [resnet18]\nrecipes: [{file: half.yaml, quick: true, settings: {seed: 2}}]\n")
    assert (cell.axes.recipe, cell.recipe.seed, cell.recipe.prune.ratio) == ("half", 2, 0.25)
    assert (cell.recipe.build.budget_s, cell.recipe.prune.schedule.epochs) == (20, 1)


@pytest.mark.parametrize(
    ("recipe", "found"),
    [
        (
            "file: half.yaml, settings: {data: {validation: 0.1}}",
            {"data.source": "my_photos", "data.test_images": 200, "data.validation": 0.1},
        ),
        (
            "quick: true, settings: {distill: {teachers: [resnet50]}, baseline: {schedule: {batch_size: 8}}}",
            {
                "distill.schedule.epochs": 1,
                "distill.teachers": ("resnet50",),
                "baseline.schedule.epochs": 1,
                "baseline.schedule.batch_size": 8,
            },
        ),
        (
            "quick: true, settings: {baseline.schedule.epochs: 3, baseline: {schedule: {batch_size: 8}}}",
            {"baseline.schedule.epochs": 3, "baseline.schedule.batch_size": 8},
        ),
        ("file: half.yaml, settings: {data: {}}", {"data.source": "my_photos"}),
        ("file: half.yaml, settings: {data.test_images: null}", {"data.test_images": None, "data.source": "my_photos"}),
        ("quick: true, settings: {baseline.schedule: null}", {"baseline.schedule": None}),
        ("file: half.yaml, settings: {distill: {pairs: {b: c}}}", {"distill.pairs": {"b": "c"}}),
        ("name: s, settings: {model.output: logits}", {"network.output": "logits"}),
    ],
)
def test_settings_change_what_they_name_alone(cells: Cells, tmp_path: Path, recipe: str, found: dict[str, Any]) -> None:
    text = "data: {source: my_photos, test_images: 200}\ndistill: {pairs: {a: b}}\n"
    (tmp_path / "half.yaml").write_text(text, encoding="utf-8")
    (cell,) = cells(f"models: [resnet18]\nrecipes: [{{{recipe}}}]\n")
    assert {key: attrgetter(key)(cell.recipe) for key in found} == found


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("{data.validation: 0.1, data: {validation: 0.2}}", "data.validation is said twice\n  fix: say it once"),
        (
            "{baseline.schedule: null, baseline: {schedule: {epochs: 3}}}",
            "baseline.schedule and baseline.schedule.epochs are both said\n  fix: say one of them",
        ),
    ],
)
def test_a_setting_that_is_said_twice_is_refused(written: Written, settings: str, told: str) -> None:
    text = f"models: [a]\nrecipes: [{{name: s, settings: {settings}}}]\n"
    assert _told(written, text) == f"fleet.yaml: recipes: s: settings: {told}"


def test_settings_say_what_the_axes_leave_open(cells: Cells) -> None:
    (cell,) = cells("models: [a]\nrecipes: [{name: s, settings: {weights: none, data.source: /my/photos}}]\n")
    assert (cell.recipe.weights, cell.recipe.data.source) == ("none", "/my/photos")


@pytest.mark.parametrize(
    ("axes", "setting", "refused", "key", "said_by"),
    [
        ("models: [a]", "model: b", "model", "model", "models"),
        ("models: [a]", "model: {output: b}", "model", "model", "models"),
        ("models: [a]", "model.depth: 3", "model.depth", "model", "models"),
        ("models: [a]", "targets: [openvino]", "targets", "targets", "targets"),
        ("models: [a]", "targets.x: 1", "targets.x", "targets", "targets"),
        ("models: [{model: a, weights: none}]", "weights: w.pt", "weights", "weights", "models"),
        ("models: [a]\ndata: [digits]", "data.source: mine", "data.source", "data.source", "data"),
        ("models: [a]\ndata: [digits]", "data: {source: mine}", "data.source", "data.source", "data"),
    ],
)
def test_what_an_axis_says_is_refused_in_settings(
    written: Written, axes: str, setting: str, refused: str, key: str, said_by: str
) -> None:
    assert _told(written, f"{axes}\nrecipes: [{{name: s, settings: {{{setting}}}}}]\n") == (
        f"fleet.yaml: recipes: s: settings: {refused} is not for settings here\n"
        f"  got: {key}, which the fleet's {said_by} say too\n  fix: say it in {said_by} alone"
    )


def test_a_text_stands_for_a_recipes_file(cells: Cells, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("seed: 5\n", encoding="utf-8")
    assert [cell.recipe.seed for cell in cells("models: [resnet18]\nrecipes: [r.yaml]\n")] == [5]


def test_weights_belong_to_their_model(cells: Cells) -> None:
    found = cells("models: [{model: resnet18, weights: none}, resnet34]\n")
    assert [cell.recipe.weights for cell in found] == ["none", None]


def test_a_cell_is_left_out_by_all_names_that_are_given(cells: Cells) -> None:
    found = cells(
        "models: [resnet18, resnet34]\ntargets: [ort-cpu, openvino]\n"
        "without: [{model: resnet34, target: openvino}]\n"
    )  # fmt: skip
    assert [cell.name for cell in found] == ["resnet18 ort-cpu", "resnet18 openvino", "resnet34 ort-cpu"]


def test_a_target_may_take_more_than_the_others(cells: Cells) -> None:
    found = cells(
        "models: [resnet18]\ntargets: [ort-cpu, tensorrt]\nresources: {cores: 2}\n"
        "resources_of: {tensorrt: {gpus: 1}}\n"
    )  # fmt: skip
    assert [(cell.resources.cores, cell.resources.gpus) for cell in found] == [(2, 0), (None, 1)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "models: [resnet18]\nresources: {cores: true}\n",
            "fleet.yaml:2: resources.cores: Input should be a number\n  got: True",
        ),
        ("model: [resnet18]\n", "fleet.yaml:1: unknown key 'model' (and 1 more)\n  expected: did you mean models?\n"),
        (
            "models:\n  - resnet18\n  - {model: resnet34, weight: none}\n",
            "fleet.yaml:3: unknown key 'models.1.weight'\n  expected: did you mean weights?\n",
        ),
        ("models: []\n", "fleet.yaml:1: models: Tuple should have at least 1 item after validation, not 0\n  got: []"),
        ("targets: [ort-cpu]\n", "fleet.yaml: models is missing\n"),
        ("models: [3]\n", "fleet.yaml:1: models.0 is a section (and 1 more)\n  got: 3\n  expected: keys below it:"),
        ("models: [resnet18]\nretries: -1\n", "fleet.yaml:2: retries: Input should be greater than or equal to 0\n"),
        ("schema: edgewright.fleet/2\nmodels: [a]\n", "fleet.yaml:1: schema: unknown value 'edgewright.fleet/2'\n"),
        ("[a, b]\n", "fleet.yaml: not a fleet\n  got: list\n  expected: a mapping of keys"),
        ("models: *a\n", "fleet.yaml: not a readable fleet\n"),
        (
            "models: [resnet18, resnet18]\n",
            "fleet.yaml: one name twice among models\n  got: resnet18\n  fix: give one of them another name",
        ),
        (
            "models: [a]\ndata: [digits, {source: mine, name: 'digits-'}]\n",
            "fleet.yaml: one name twice among data\n  got: digits and digits-, whose results would go to one folder\n",
        ),
        (
            "models: [a]\ndata: [x/photos, /y/photos/]\n",
            "fleet.yaml: one name twice among data\n  got: photos\n  fix: give one of them another name",
        ),
        (
            "models: [a]\nrecipes: [{quick: true, settings: {distil.loss: kd}}]\n",
            "fleet.yaml: recipes: quick: unknown key 'distil'\n  expected: did you mean distill?\n",
        ),
        (
            "models: [a]\nrecipes: [none.yaml]\n",
            "fleet.yaml: recipes: none: none.yaml: there is no such recipe\n",
        ),
        (
            "models: [a]\nwithout: [{target: openvno}]\n",
            "unknown target in fleet.yaml: without: 'openvno'\n  expected: one of ort-cpu",
        ),
        (
            "models: [a]\nresources_of: {tensorrt: {gpus: 1}}\n",
            "unknown target in fleet.yaml: resources_of: 'tensorrt'\n  expected: one of ort-cpu",
        ),
        ("models: [a]\nwithout: [{model: a}]\n", "fleet.yaml: without: every cell is left out\n  fix: leave fewer out"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_with_its_place(written: Written, text: str, told: str) -> None:
    assert _told(written, text).startswith(told)


def test_more_cells_than_can_be_meant_are_refused(written: Written) -> None:
    names = ", ".join(f"m{number}" for number in range(101))
    told = _told(written, f"models: [{names}]\ndata: [{names}]\n")
    assert told == "fleet.yaml: more cells than can be meant\n  got: 10201\n  expected: at most 10000"


def test_a_missing_file_says_where_to_find_an_example(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"there is no such fleet\n  fix: docs/fleet.md has an example"):
        read_fleet(tmp_path / "none.yaml")
