"""Every way a recipe can be wrong is one message with its place; every right one comes back as it was written."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import RecipeError
from pipeline.recipe.reading import QUICK, dump_recipe, read_recipe
from pipeline.recipe.records import Recipe

Writer = Callable[[str], Path]
LIST_KEYS = "`edgewright recipe MODEL` prints every key with its value"


@pytest.fixture
def written(tmp_path: Path) -> Writer:
    def write(text: str) -> Path:
        (tmp_path / "my.yaml").write_text(text, encoding="utf-8")
        return tmp_path / "my.yaml"

    return write


def _told(path: Path | None, typed: dict[str, Any] | None = None, settings: tuple[str, ...] = ()) -> str:
    """What is said about a recipe that is wrong, the folder left out."""
    with pytest.raises(RecipeError) as raised:
        read_recipe(path, typed or {}, settings)
    return str(raised.value).replace(f"{path.parent}/", "") if path else str(raised.value)


# What is read


def test_a_file_gives_its_values_and_the_defaults_for_the_rest(written: Writer) -> None:
    recipe = read_recipe(written("model: resnet18\ndistill:\n  schedule: {epochs: 3}\nskip: [prune]\n"), {})
    assert recipe == Recipe.model_validate(
        {"model": "resnet18", "distill": {"schedule": {"epochs": 3}}, "skip": ["prune"]}
    )


def test_without_a_file_everything_comes_from_what_was_typed() -> None:
    assert read_recipe(None, {"model": "resnet18", "data.source": "x"}) == Recipe.model_validate(
        {"model": "resnet18", "data": {"source": "x"}}
    )


def test_what_was_typed_wins_over_the_file(written: Writer) -> None:
    recipe = read_recipe(written("model: a\nseed: 1\ndata: {source: x, calibration_images: 9}\n"), {"data.source": "y"})
    assert (recipe.seed, recipe.data.source, recipe.data.calibration_images) == (1, "y", 9)


def test_a_setting_wins_over_what_was_typed(written: Writer) -> None:
    recipe = read_recipe(written("model: a\nseed: 1\n"), {"seed": 2}, ["seed=3"])
    assert recipe.seed == 3


def test_the_last_of_two_settings_wins() -> None:
    assert read_recipe(None, {"model": "a"}, ["seed=3", "seed=4"]).seed == 4


def test_nothing_is_a_value_as_any_other(written: Writer) -> None:
    path = written("model: a\ndata: {test_images: 9}\n")
    assert read_recipe(path, {"data.test_images": None}).data.test_images is None


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("input.size=128", {"input": {"size": 128}}),
        ("input.size=[96, 128]", {"input": {"size": (96, 128)}}),
        ("distill.teachers=[resnet18, resnet34]", {"distill": {"teachers": ("resnet18", "resnet34")}}),
        ("distill.schedule.learning_rate=1e-4", {"distill": {"schedule": {"learning_rate": 1e-4}}}),
        ("baseline.schedule.epochs=2", {"baseline": {"schedule": {"epochs": 2}}}),
        ("goal={max_accuracy_drop: 0.5}", {"goal": {"max_accuracy_drop": 0.5}}),
        ("weights=a=b", {"weights": "a=b"}),
        ("weights=", {"weights": None}),
        (" seed =5", {"seed": 5}),
    ],
)
def test_the_value_of_a_setting_is_read_as_yaml(setting: str, expected: dict[str, Any]) -> None:
    assert read_recipe(None, {"model": "a"}, [setting]) == Recipe.model_validate({"model": "a", **expected})


def test_a_byte_order_mark_and_windows_line_ends_are_understood(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_bytes(b"\xef\xbb\xbfmodel: a\r\nseed: 2\r\n")
    assert read_recipe(tmp_path / "my.yaml", {}).seed == 2


# Unknown keys


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: a\nsed: 1\n", "my.yaml:2: unknown key 'sed'\n  expected: did you mean seed?"),
        ("model: a\n\ndata:\n  sorce: x\n", "my.yaml:4: unknown key 'data.sorce'\n  expected: did you mean source?"),
        (
            "model: a\nprune:\n  schedule:\n    # one is too few\n    epoch: 3\n",
            "my.yaml:5: unknown key 'prune.schedule.epoch'\n  expected: did you mean epochs?",
        ),
        (
            "model: a\nbaseline:\n  schedule:\n    epoch: 3\n",
            "my.yaml:4: unknown key 'baseline.schedule.epoch'\n  expected: did you mean epochs?",
        ),
        (
            "{model: a, shema: edgewright.recipe/1}",
            "my.yaml:1: unknown key 'shema'\n  expected: did you mean schema?",
        ),
        (
            "model: a\ngoal:\n  qqqq: 1\n",
            (
                "my.yaml:3: unknown key 'goal.qqqq'\n"
                "  expected: one of max_accuracy_drop, min_agreement, expect_accuracy, latency, macs, params, "
                "size, memory, require"
            ),
        ),
        (
            "model: a\nsed: 1\nmodell: b\n",
            "my.yaml:2: unknown key 'sed' (and 1 more)\n  expected: did you mean seed?",
        ),
    ],
)
def test_an_unknown_key_is_named_with_its_line_and_the_nearest_keys(written: Writer, text: str, message: str) -> None:
    assert _told(written(text)) == f"{message}\n  fix: {LIST_KEYS}"


def test_an_unknown_key_that_was_set_is_not_looked_for_in_the_file(written: Writer) -> None:
    told = _told(written("model: a\n"), settings=("data.sorce=x",))
    assert "my.yaml" not in told
    assert "unknown key 'data.sorce'\n  expected: did you mean source?" in told


# Values that do not fit


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "model: a\nseed: x\n",
            "my.yaml:2: seed: Input should be a valid integer, unable to parse string as an integer\n  got: 'x'",
        ),
        ("model: a\nseed: -1\n", "my.yaml:2: seed: Input should be greater than or equal to 0\n  got: -1"),
        (
            "model: a\nprune:\n  rounds: 1\n  ratio: 1.5\n",
            "my.yaml:4: prune.ratio: Input should be less than 1\n  got: 1.5",
        ),
        (
            "model: a\nmeasure:\n  profile: fast\n",
            "my.yaml:3: measure.profile: unknown value 'fast'\n  expected: one of quick, full",
        ),
        (
            "schema: edgewright.recipe/9\nmodel: a\n",
            "my.yaml:1: schema: unknown value 'edgewright.recipe/9'\n  expected: did you mean edgewright.recipe/1?",
        ),
        ("model: [2]\n", "my.yaml:1: model: Input should be a valid string\n  got: [2]"),
        (
            "model: a\nskip:\n  - prune\n  - calibrate\n",
            "my.yaml:4: skip.1: unknown value 'calibrate'\n  expected: one of distill, downsample, prune",
        ),
        ("1: a\nmodel: b\n", "my.yaml:1: 1: Keys should be strings\n  got: 1"),
        (
            "model: a\nseed: -1\nmeasure: {profile: fast, threads: 0}\n",
            "my.yaml:2: seed: Input should be greater than or equal to 0 (and 2 more)\n  got: -1",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_line_and_what_came(
    written: Writer, text: str, message: str
) -> None:
    assert _told(written(text)) == message


@pytest.mark.parametrize("value", ["big", "[1, 2, 3]", "{a: 1}", "0"])
def test_a_value_that_fits_none_of_several_forms_is_named_by_its_own_key(written: Writer, value: str) -> None:
    told = _told(written(f"model: a\ninput:\n  size: {value}\n"))
    assert told.startswith("my.yaml:3: input.size: ")


def test_a_wrong_value_that_was_set_is_not_blamed_on_the_file(written: Writer) -> None:
    told = _told(written("model: a\nseed: 1\n"), settings=("seed=-1",))
    assert told.endswith("seed: Input should be greater than or equal to 0\n  got: -1")
    assert "my.yaml" not in told


def test_a_wrong_value_that_was_typed_is_not_blamed_on_the_file(written: Writer) -> None:
    assert "my.yaml" not in _told(written("model: a\nseed: 1\n"), typed={"seed": -1})


def test_a_recipe_without_a_model_says_so() -> None:
    assert _told(None) == (
        "recipe: model is missing\n  fix: name it, as in `edgewright deploy resnet50`; `edgewright models` lists them"
    )


@pytest.mark.parametrize(
    "key",
    [
        "seed", "data.calibration_images", "data.validation", "input.size", "input.mean", "build.budget_s",
        "baseline.schedule.epochs", "baseline.schedule.learning_rate", "measure.threads", "distill.temperature",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("value", "got", "more"),
    [("true", "True", ""), ("false", "False", ""), ("'0_1'", "'0_1'", " in digits alone")],
    ids=["true", "false", "underscore"],
)
def test_what_is_no_number_does_not_become_one(key: str, value: str, got: str, more: str) -> None:
    told = _told(None, {"model": "a"}, (f"{key}={value}",))
    assert key in told
    assert told.endswith(f"\n  got: {got}")


def test_what_became_a_number_is_named_with_its_line(written: Writer) -> None:
    told = _told(written("model: a\nseed: true\ninput:\n  size: [true, 32]\n"))
    assert told == "my.yaml:2: seed: Input should be a number (and 1 more)\n  got: True"


def test_true_and_false_stay_what_they_are_and_a_number_in_quotes_is_one(written: Writer) -> None:
    recipe = read_recipe(written("model: a_1\nseed: '7'\nbaseline: {schedule: {balanced: true}}\n"), {})
    assert (recipe.model, recipe.seed) == ("a_1", 7)


@pytest.mark.parametrize("setting", ["distill.temperature=.inf", "input.mean=.nan", "prune.schedule.clip_norm=.inf"])
def test_a_number_that_is_not_finite_is_refused(setting: str) -> None:
    # No key can be made of it: JSON has no such number.
    assert setting.partition("=")[0] in _told(None, {"model": "a"}, (setting,))


# Files that are no recipe


def test_a_recipe_that_is_not_there_says_how_to_get_one(tmp_path: Path) -> None:
    assert _told(tmp_path / "my.yaml") == (
        "my.yaml: there is no such recipe\n  fix: `edgewright recipe MODEL` writes one"
    )


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    told = _told(tmp_path)
    assert "not a readable recipe\n  got: [Errno 21] Is a directory" in told


@pytest.mark.parametrize(("text", "got"), [("", "NoneType"), ("- a\n", "list"), ("resnet18\n", "str"), ("7", "int")])
def test_yaml_that_is_no_mapping_is_no_recipe(written: Writer, text: str, got: str) -> None:
    assert _told(written(text)) == f"my.yaml: not a recipe\n  got: {got}\n  expected: a mapping of keys"


@pytest.mark.parametrize(
    ("text", "reason", "place"),
    [
        ("model: a\nmodel: b\n", "key 'model' twice", "line 2, column 1"),
        ("model: a\ndata: {source: x, source: y}\n", "key 'source' twice", "line 2, column 19"),
        ("model: &x b\nweights: *x\n", "aliases are not used in recipes", "line 2, column 10"),
        ("a: &x [1]\nb: &y [*x, *x]\nc: [*y, *y]\n", "aliases are not used in recipes", "line 2, column 8"),
        ("model: [a\n", "expected ',' or ']'", "line 2, column 1"),
        ("model: a\n\tb: c\n", "found character '\\t' that cannot start any token", "line 2, column 1"),
        (
            "model: !!python/object/apply:os.getcwd []\n",
            "the tag !!python/object/apply:os.getcwd is not used in recipes",
            "line 1, column 8",
        ),
        ("model: a\n---\nmodel: b\n", "but found another document", "line 2, column 1"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_reason_and_place(
    written: Writer, text: str, reason: str, place: str
) -> None:
    told = _told(written(text)).split("\n")
    assert told[0] == "my.yaml: not a readable recipe"
    assert reason in told[1]
    assert place in told[1]
    assert told[2] == "  expected: YAML"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"model: a\x00", b"model: \xe9\n"])
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "my.yaml").write_bytes(content)
    assert _told(tmp_path / "my.yaml").startswith("my.yaml: not a readable recipe\n  got: ")


@pytest.mark.parametrize(
    "text",
    [
        "? [a]\n: b\n",
        "? {a: b}\n: c\n",
        "model: 2020-13-45\n",
        f"model: a\nseed: {'9' * 5000}\n",
        "[" * 3000,
        f"model: {'{a: ' * 3000}",
    ],
    ids=["a list as key", "a mapping as key", "no such day", "too many digits", "deep lists", "deep mappings"],
)
def test_yaml_whose_values_cannot_be_made_is_refused_like_any_other(written: Writer, text: str) -> None:
    assert _told(written(text)).startswith("my.yaml: not a readable recipe\n  got: ")


@pytest.mark.parametrize("size", [2**20 - 1, 2**20])
def test_a_recipe_of_a_mebibyte_is_still_read(written: Writer, size: int) -> None:
    start = "model: a\n#"
    assert read_recipe(written(start + "x" * (size - len(start))), {}).model == "a"


def test_a_larger_file_is_not_read_at_all(written: Writer) -> None:
    assert _told(written("x" * (2**20 + 1))) == (
        "my.yaml: too large for a recipe\n  got: 1048577 bytes\n  expected: at most 1 MiB"
    )


@settings(deadline=None, max_examples=300)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    | st.text("model:a01 -{}[],?&*!|>'\"#.\n", max_size=30)
)
def test_any_text_is_a_recipe_or_one_clear_error(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "my.yaml")
        path.write_text(text, encoding="utf-8")
        try:
            recipe = read_recipe(path, {})
        except RecipeError as error:
            assert str(error)  # noqa: PT017 - either of two outcomes is right
        else:
            assert recipe.model


# Settings


@pytest.mark.parametrize("setting", ["seed", "", "=3", " =3"])
def test_a_setting_needs_a_key_and_a_value(setting: str) -> None:
    assert _told(None, {"model": "a"}, (setting,)) == (
        "--set needs key=value\n"
        + (f"  got: {setting}\n" if setting else "")
        + "  expected: for example --set input.size=128"
    )


@pytest.mark.parametrize("value", ["[1", "*x", "{a: b", "!!python/name:os.system x", "\x00"])
def test_a_setting_whose_value_is_no_yaml_says_so(value: str) -> None:
    assert _told(None, {"model": "a"}, (f"seed={value}",)) == (
        f"--set seed={value}: the value is not YAML\n  got: {value}\n"
        "  expected: a value as YAML writes it, such as 0.1, true or [1, 2]"
    )


def test_a_setting_that_yaml_1_1_and_1_2_read_differently_says_so() -> None:
    assert _told(None, {"model": "a"}, ("build.ort_format=on",)) == (
        "--set build.ort_format=on: the value can be read in two ways\n"
        "  got: on is text in YAML 1.2 and a bool in YAML 1.1: put it into quotes, or write what is meant (true or "
        "false)"
    )


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 3000], ids=["too many digits", "deep"])
def test_a_setting_whose_value_cannot_be_made_says_so(value: str) -> None:
    assert f"--set data.source={value}: the value is not YAML" in _told(None, {"model": "a"}, (f"data.source={value}",))


def test_a_setting_below_a_value_says_that_there_is_no_section(written: Writer) -> None:
    told = _told(written("model: a\nseed: 3\n"), settings=("seed.x=1",))
    assert told.splitlines() == [
        "--set seed.x=1: 'seed' holds a value, not a section",
        "  fix: make it a section in the recipe, or leave this out",
    ]


def test_a_printed_recipe_takes_what_quick_sets(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(dump_recipe(Recipe(model="a")), encoding="utf-8")
    assert "objects_schedule: null" in path.read_text(encoding="utf-8")
    assert read_recipe(path, QUICK) == read_recipe(None, {"model": "a", **QUICK})


def test_an_option_below_a_value_says_that_there_is_no_section(written: Writer) -> None:
    told = _told(written("model: a\ndata: digits\n"), {"data.source": "x"})
    assert told.splitlines() == [
        "command line: 'data' holds a value, not a section",
        "  fix: make it a section in the recipe, or leave this out",
    ]


# There and back

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
SMALL = st.integers(1, 1000)
POSITIVE = st.floats(1e-9, 1e9)
SCHEDULES = st.fixed_dictionaries(
    {},
    optional={
        "epochs": SMALL,
        "batch_size": st.integers(2, 1000),
        "learning_rate": POSITIVE,
        "weight_decay": st.floats(0, 1),
        "warmup": st.floats(0.01, 0.99),
        "clip_norm": POSITIVE,
        "augment": st.lists(st.sampled_from(["flip", "shift"]), max_size=2),
    },
)
THREE = st.tuples(POSITIVE, POSITIVE, POSITIVE)
RECIPES = st.fixed_dictionaries(
    {"model": TEXT},
    optional={
        "weights": st.none() | TEXT,
        "data": st.fixed_dictionaries(
            {},
            optional={
                "source": TEXT,
                "calibration_images": SMALL,
                "calibration_list": st.none() | TEXT,
                "test_list": TEXT,
            },
        ),
        "input": st.fixed_dictionaries(
            {},
            optional={
                "size": SMALL | st.tuples(SMALL, SMALL),
                "resize": SMALL | st.just("squash"),
                "mean": POSITIVE | THREE,
                "std": POSITIVE | THREE,
                "interpolation": st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"]),
                "channels": st.sampled_from(["RGB", "BGR"]),
            },
        ),
        "goal": st.fixed_dictionaries({"max_accuracy_drop": st.floats(0, 1)}, optional={"require": st.just("int8")}),
        "targets": st.lists(TEXT, min_size=1, max_size=2),
        "skip": st.lists(st.sampled_from(["distill", "prune"]), max_size=2),
        "seed": st.integers(0, 2**31 - 1),
        "baseline": st.fixed_dictionaries({}, optional={"schedule": SCHEDULES}),
        "distill": st.fixed_dictionaries(
            {}, optional={"teachers": st.lists(TEXT, min_size=1, max_size=2), "weight": st.floats(0, 1)}
        ),
        "prune": st.fixed_dictionaries({"ratio": st.floats(0.01, 0.99)}, optional={"schedule": SCHEDULES}),
        "calibrate": st.fixed_dictionaries({"opset": st.integers(17, 20)}),
        "export": st.fixed_dictionaries({"float_nodes": st.lists(TEXT, max_size=2)}),
        "build": st.fixed_dictionaries({"precision": st.sampled_from(["auto", "int8", "float"])}),
        "measure": st.fixed_dictionaries(
            {"profile": st.sampled_from(["quick", "full"])}, optional={"threads": st.none() | SMALL}
        ),
    },
).map(Recipe.model_validate)


@settings(deadline=None, max_examples=25)  # each of some hundred keys
@given(RECIPES)
def test_a_recipe_comes_back_from_its_dump(recipe: Recipe) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "my.yaml")
        path.write_text(dump_recipe(recipe), encoding="utf-8")
        assert read_recipe(path, {}) == recipe


def test_a_dump_names_every_key_in_the_order_of_the_records() -> None:
    whole = dump_recipe(Recipe(model="a")).splitlines()
    dumped = [line for line in whole if not line.lstrip().startswith("#")]
    assert dumped[:5] == ["schema: edgewright.recipe/1", "model: a", "weights: null", "task: classification", "data:"]
    top = [line.partition(":")[0] for line in dumped if not line.startswith((" ", "-"))]
    assert top == [field.alias or name for name, field in Recipe.model_fields.items()]


def test_a_dump_keeps_letters_of_all_languages_readable() -> None:
    assert "model: größe" in dump_recipe(Recipe(model="größe"))


def test_a_printed_recipe_says_what_every_key_is_for() -> None:
    lines = dump_recipe(Recipe.model_validate({"model": "resnet18", "baseline": {"schedule": {}}})).splitlines()
    keys = [number for number, line in enumerate(lines) if re.match(r" *[a-z_]+: \S", line)]

    assert len(keys) > 50
    assert [lines[number] for number in keys if not lines[number - 1].lstrip().startswith("# ")] == []
    assert max(map(len, lines)) <= 100
