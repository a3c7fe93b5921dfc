"""What a recipe comes to: names looked up, defaults filled in, stages left out, mistakes told before work starts."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from benchmarks.workers.workplace import HERE
from exporters.ort_cpu.target import OrtCpuTarget
from pipeline import catalog
from pipeline.chain.goal_checks import goal_decides_size
from pipeline.chain.plan import Plan, make_plan
from pipeline.chain.skipped_stages import check_asked
from pipeline.chain.task_defaults import for_task
from pipeline.errors import DataError, EdgewrightError, UnknownNameError, UsageError, WeightsError
from pipeline.gpu import this_gpu
from pipeline.models.resolve import resolve_model
from pipeline.preprocess import PreprocessSpec
from pipeline.progress import SilentProgress
from pipeline.recipe import Recipe
from pipeline.store import Store
from pipeline.tasks.detection.detection import Detection
from pipeline.training.schedule import Schedule

Planner = Callable[..., Plan]
IMAGENET = PreprocessSpec(size=(224, 224), resize=256)
CUSTOM_NOTE = (
    "preprocessing taken as ImageNet's custom (256, centre 224, its mean and std); "
    "set input.size, input.mean, input.std, input.resize if the network was trained otherwise"
)


def _plan(recipe: Recipe, store: Store) -> Plan:
    return make_plan(recipe, store, SilentProgress())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One store for all plans: a data set is read, and the embedded digits are written, once."""
    return Store(tmp_path_factory.mktemp("plans"))


@pytest.fixture
def planned(tiny_file: Path, tiny_data: Path, store: Store) -> Planner:
    """The plan of the tiny network on the colours, without published weights, and with what is given."""

    def plan(**fields: Any) -> Plan:  # noqa: ANN401 - raw input
        given = {"model": f"{tiny_file}:tiny", "weights": "none", "data": {"source": str(tiny_data)}, **fields}
        return _plan(Recipe.model_validate(given), store)

    return plan


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


@pytest.fixture
def only_val(tmp_path: Path) -> Path:
    """A data set without training images."""
    for name in ("cat", "dog"):
        folder = tmp_path / "only_val" / "val" / name
        folder.mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (4, 4), (number, len(name), ord(name[0]))).save(folder / f"{number}.png")
    return tmp_path / "only_val"


# Names and parts


def test_the_parts_are_what_the_recipe_names(planned: Planner) -> None:
    plan = planned()
    assert (plan.parts.model.origin, plan.parts.model.name) == ("file", "tiny")
    assert plan.parts.dataset.classes == ("blue", "green", "red")
    assert plan.parts.weights.origin == "scratch"
    assert plan.parts.task.name == "classification"
    assert [target.name for target in plan.targets] == ["ort-cpu"]


def test_the_seed_and_the_data_section_decide_the_splits(planned: Planner, tiny_data: Path) -> None:
    few = planned(data={"source": str(tiny_data), "calibration_images": 6}).parts.dataset
    assert len(few.calibration) == 6
    assert planned(seed=1).parts.dataset.calibration != planned(seed=2).parts.dataset.calibration


def test_lists_of_images_are_those_of_the_recipe(planned: Planner, tiny_data: Path, tmp_path: Path) -> None:
    (tmp_path / "calibration.txt").write_text("train/red/003.png\n", encoding="utf-8")
    (tmp_path / "test.txt").write_text("val/red/001.png\nval/blue/002.png\n", encoding="utf-8")
    data = planned(
        data={
            "source": str(tiny_data),
            "calibration_list": str(tmp_path / "calibration.txt"),
            "test_list": str(tmp_path / "test.txt"),
        }
    ).parts.dataset
    assert [sample.name for sample in data.calibration] == ["train/red/003.png"]
    assert {sample.name for sample in data.test} == {"val/red/001.png", "val/blue/002.png"}


def test_two_small_networks_teach_where_no_teacher_is_named(planned: Planner) -> None:
    plan = planned()
    assert tuple(teacher.model.name for teacher in plan.teachers) == plan.parts.task.teachers
    assert plan.recipe.distill.teachers == plan.parts.task.teachers


def test_teachers_share_everything_but_network_and_weights_with_the_student(planned: Planner, tiny_file: Path) -> None:
    plan = planned(distill={"teachers": [f"{tiny_file}:tiny", "resnet18"]})
    assert [teacher.model.name for teacher in plan.teachers] == ["tiny", "resnet18"]
    for teacher in plan.teachers:
        assert teacher.dataset is plan.parts.dataset
        assert teacher.preprocess == plan.parts.preprocess
        assert teacher.weights.origin == "scratch"


def test_a_teacher_from_a_file_starts_from_scratch_whatever_weights_the_student_has(
    planned: Planner, tiny_file: Path, weights_file: Path
) -> None:
    plan = planned(weights=str(weights_file), distill={"teachers": [f"{tiny_file}:tiny"]})
    assert [teacher.weights.origin for teacher in plan.teachers] == ["scratch"]


# Which stages run


def test_all_stages_run_where_there_are_training_images(planned: Planner) -> None:
    plan = planned()
    assert plan.skipped == {}
    assert [stage.name for stage in plan.network_stages()] == ["baseline", "distill", "prune", "calibrate"]


@pytest.mark.parametrize("skip", [["distill"], ["prune"], ["prune", "distill"]])
def test_a_stage_is_left_out_on_request(planned: Planner, skip: list[str]) -> None:
    plan = planned(skip=skip)
    assert plan.skipped == dict.fromkeys(skip, "skipped on request")
    left = [name for name in ("baseline", "distill", "prune", "calibrate") if name not in skip]
    assert [stage.name for stage in plan.network_stages()] == left


def test_no_teacher_is_looked_for_when_nothing_is_distilled(planned: Planner) -> None:
    assert planned(skip=["distill"]).teachers == ()


def test_without_training_images_nothing_is_trained(planned: Planner, only_val: Path, weights_file: Path) -> None:
    plan = planned(data={"source": str(only_val)}, weights=str(weights_file), distill={"teachers": ["resnet18"]})
    assert plan.skipped == {"distill": "no training images", "prune": "no training images"}
    assert [stage.name for stage in plan.network_stages()] == ["baseline", "calibrate"]


def test_a_network_that_comes_trained_is_not_distilled_unless_teachers_are_named(
    planned: Planner, tiny_file: Path, weights_file: Path
) -> None:
    assert planned(weights=str(weights_file)).skipped == {
        "distill": "the network comes trained; name teachers with --teacher"
    }
    assert planned(weights=str(weights_file), distill={"teachers": [f"{tiny_file}:tiny"]}).skipped == {}


def test_what_the_user_asked_for_is_the_reason_told(planned: Planner, only_val: Path, weights_file: Path) -> None:
    plan = planned(data={"source": str(only_val)}, weights=str(weights_file), skip=["prune"])
    assert plan.skipped == {"prune": "skipped on request", "distill": "no training images"}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"distill": {"weighting": [3, 1, 2]}}, "got: 3 for 2"),
        ({"distill": {"weighting": [3]}}, "got: 1 for 2"),
        ({"prune": {"weighting": [3, 1]}}, "got: 2 for 1"),
        ({"prune": {"weighting": [3, 1], "teachers": "all"}}, "got: 2 for 3"),
    ],
)
def test_as_many_weights_as_teachers_are_wanted_before_anything_runs(
    planned: Planner, fields: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError, match="not as many weights as teachers") as raised:
        planned(**fields)
    assert told in str(raised.value)


def test_weights_for_each_teacher_are_taken(planned: Planner) -> None:
    planned(distill={"weighting": [3, 1]}, prune={"weighting": [2, 1, 1], "teachers": "all"})
    planned(skip=["distill"], distill={"weighting": [1, 2, 3]})  # nobody is weighed there


# Preprocessing


def test_a_network_from_a_file_gets_imagenets_custom_and_a_note(planned: Planner) -> None:
    plan = planned()
    assert plan.parts.preprocess == IMAGENET
    assert plan.assumed == (CUSTOM_NOTE,)


def test_a_user_who_says_all_that_matters_is_told_nothing(planned: Planner) -> None:
    plan = planned(input={"size": 16, "resize": "squash", "mean": 0.5, "std": 0.5})
    assert plan.parts.preprocess == PreprocessSpec(size=(16, 16), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    assert plan.assumed == ()


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("resnet18", IMAGENET),
        # https://docs.pytorch.org/vision/stable/models/generated/torchvision.models.efficientnet_b1.html
        ("efficientnet_b1", PreprocessSpec(size=(240, 240), resize=255)),
        ("vgg11", IMAGENET),
    ],
)
def test_a_network_of_torchvision_gets_what_its_published_weights_want(
    planned: Planner, model: str, expected: PreprocessSpec
) -> None:
    plan = planned(model=model)
    assert plan.parts.preprocess == expected
    assert CUSTOM_NOTE not in (*plan.assumed, *plan.notes)


def test_what_the_user_sets_goes_over_what_the_weights_want(planned: Planner) -> None:
    plan = planned(model="resnet18", input={"channels": "BGR", "interpolation": "nearest"})
    assert plan.parts.preprocess == IMAGENET.model_copy(update={"channels": "BGR", "interpolation": "nearest"})


@pytest.mark.parametrize("model", ["resnet18", "tiny"])
def test_the_embedded_digits_are_small_and_squashed(tiny_file: Path, store: Store, model: str) -> None:
    name = model if model == "resnet18" else f"{tiny_file}:tiny"
    plan = _plan(Recipe(model=name, weights="none"), store)
    assert plan.parts.preprocess == PreprocessSpec(size=(32, 32), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    assert CUSTOM_NOTE not in (*plan.assumed, *plan.notes)


def test_the_size_of_the_embedded_digits_can_be_set(store: Store) -> None:
    plan = _plan(Recipe.model_validate({"model": "resnet18", "weights": "none", "input": {"size": 64}}), store)
    assert plan.parts.preprocess.size == (64, 64)


def test_an_input_larger_than_what_is_cropped_from_gets_no_black_border(planned: Planner) -> None:
    # The shorter side is scaled to 256 before the crop: 384 pixels cannot come from it.
    preprocess = planned(model="resnet18", input={"size": 384}).parts.preprocess
    assert preprocess.resize == "squash" or preprocess.resize >= 384


# The resolved recipe


def test_the_resolved_recipe_leads_to_the_same_plan(planned: Planner, store: Store) -> None:
    plan = planned(model="efficientnet_b1", input={"size": 16, "resize": 20}, skip=["prune"], seed=3)
    again = _plan(plan.recipe, store)
    assert again.recipe == plan.recipe
    assert again.parts == plan.parts
    assert again.teachers == plan.teachers
    assert [stage.name for stage in again.network_stages()] == [stage.name for stage in plan.network_stages()]


def test_the_resolved_recipe_is_the_same_without_training_images(
    planned: Planner, store: Store, only_val: Path, weights_file: Path
) -> None:
    plan = planned(data={"source": str(only_val)}, weights=str(weights_file))
    again = _plan(plan.recipe, store)
    assert again.recipe == plan.recipe
    assert again.parts == plan.parts


def test_the_resolved_recipe_says_the_preprocessing_in_full(planned: Planner) -> None:
    assert planned(model="resnet18").recipe.input.model_dump() == IMAGENET.model_dump()


def test_the_resolved_recipe_says_what_is_skipped(planned: Planner, only_val: Path, weights_file: Path) -> None:
    plan = planned(data={"source": str(only_val)}, weights=str(weights_file))
    assert plan.recipe.skip == ("distill", "prune")


def test_the_baseline_is_trained_as_the_student_is_without_its_teachers(planned: Planner) -> None:
    distill = {"schedule": {"epochs": 5, "learning_rate": 0.01}}
    schedule = planned(distill=distill).recipe.baseline.schedule
    assert schedule == Schedule(epochs=5, learning_rate=0.01, views=4)  # the views that teachers are asked about


def test_a_schedule_given_for_the_baseline_is_kept(planned: Planner) -> None:
    assert planned(baseline={"schedule": {"epochs": 2}}).recipe.baseline.schedule == Schedule(epochs=2)


# Notes


def test_why_a_network_starts_from_scratch_is_told(planned: Planner) -> None:
    assert planned().notes[0] == "tiny: no weights were asked for"
    assert planned(weights=None, skip=["distill"]).notes[0] == "tiny: no weights were given"


def test_nothing_is_told_about_weights_that_were_given(planned: Planner, weights_file: Path) -> None:
    assert planned(weights=str(weights_file), input={"size": 16, "mean": 0.5}).notes == ()


# Mistakes


@pytest.mark.parametrize(
    ("fields", "kind", "message"),
    [
        ({"targets": ["ort-cpus"]}, UnknownNameError, "unknown target 'ort-cpus'\n  expected: did you mean ort-cpu"),
        ({"model": "resnet19"}, UnknownNameError, "unknown model 'resnet19'\n  expected: did you mean resnet1"),
        (
            {"distill": {"teachers": ["resnet18", "resnet5"]}},
            UnknownNameError,
            "unknown model 'resnet5'\n  expected: did you mean resnet5",
        ),
        ({"data": {"source": "nowhere/to/be/found"}}, DataError, "nowhere/to/be/found: there is no such data folder"),
        ({"weights": "nowhere.pth"}, WeightsError, "nowhere.pth: there is no such weights file"),
        ({"weights": "pretrained"}, WeightsError, "a model from a file has no pretrained weights"),
    ],
)
def test_a_name_that_leads_nowhere_is_told_with_what_is_near(
    planned: Planner, fields: dict[str, Any], kind: type[EdgewrightError], message: str
) -> None:
    with pytest.raises(kind) as raised:
        planned(**fields)
    assert message in str(raised.value)


def test_names_are_looked_up_before_the_data_are_read(planned: Planner) -> None:
    for fields in ({"targets": ["nowhere"]}, {"model": "nowhere"}, {"distill": {"teachers": ["nowhere"]}}):
        with pytest.raises(UnknownNameError, match="'nowhere'"):
            planned(data={"source": "no/such/folder"}, **fields)


def test_neither_weights_nor_training_images_is_an_error_that_says_what_helps(planned: Planner, only_val: Path) -> None:
    with pytest.raises(DataError) as raised:
        planned(data={"source": str(only_val)}, weights=None)
    assert str(raised.value) == (
        f"{only_val}: there are neither weights nor training images\n"
        "  got: 16 test images; no weights were given\n"
        "  expected: a folder with train/, or trained weights\n"
        "  fix: give the weights with --weights FILE"
    )


def test_an_image_that_cannot_be_decoded_is_told_before_anything_is_trained(
    planned: Planner, only_val: Path, weights_file: Path
) -> None:
    (only_val / "val" / "cat" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match=r"val/cat/bad\.png"):
        planned(data={"source": str(only_val)}, weights=str(weights_file))


def test_a_target_that_cannot_be_built_here_is_told_with_what_is_missing(
    planned: Planner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
        from exporters.ort_cpu.target import OrtCpuTarget


        class Elsewhere(OrtCpuTarget):
            def missing(self):
                return "the runtime is not installed: pip install runtime"


        ELSEWHERE = Elsewhere(name="elsewhere")
    """
    (tmp_path / "target_elsewhere.py").write_text(textwrap.dedent(source), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(catalog.TARGETS, "elsewhere", "target_elsewhere:ELSEWHERE")
    with pytest.raises(UsageError) as raised:
        planned(targets=["ort-cpu", "elsewhere"])
    assert str(raised.value) == (
        "target elsewhere cannot be built here\n  got: the runtime is not installed: pip install runtime\n"
        "  fix: `edgewright doctor` says what is missing"
    )


def test_an_output_is_not_named_where_there_is_but_one(planned: Planner) -> None:
    with pytest.raises(UsageError) as told:
        planned(model="resnet18", network={"output": "scores"})

    assert str(told.value).splitlines() == [
        "network.output: a classifier of torchvision has one answer",
        "  got: scores",
        "  fix: leave it out",
    ]


def test_boxes_cannot_be_suppressed_in_the_graph_of_a_classifier(planned: Planner) -> None:
    with pytest.raises(UsageError, match="a network for classification has no boxes to suppress"):
        planned(build={"nms": "graph"})


@pytest.mark.parametrize("name", catalog.TARGETS)
def test_a_target_that_cannot_suppress_says_so(planned: Planner, name: str) -> None:
    target = catalog.target_named(name)
    if target.missing() is not None:
        pytest.skip("it is not installed")
    can = name not in {"tensorrt", "tensorrt-rtx"}
    told = "has no boxes to suppress" if can else f"target {name} cannot suppress boxes within the graph"
    assert (target.cannot_suppress() is None) == can
    with pytest.raises(UsageError, match=told):
        planned(targets=[name], build={"nms": "graph"})


@pytest.mark.parametrize(("key", "value"), [("fill", 0), ("place", "corner")])
def test_what_is_said_of_a_letterbox_is_refused_without_one(planned: Planner, key: str, value: object) -> None:
    with pytest.raises(UsageError, match="this is said of a letterbox") as raised:
        planned(input={key: value, "size": 16, "resize": "squash"})
    assert raised.value.where == f"input.{key}"
    assert planned(input={key: value, "size": 16, "resize": "letterbox"}).parts.preprocess.resize == "letterbox"


def test_auto_is_what_can_run_here(planned: Planner) -> None:
    plan = planned(targets=["auto"])
    names = [target.name for target in plan.targets]
    assert all(target.cannot_run() is None for target in plan.targets)
    assert plan.fastest_only
    assert plan.recipe.targets == (("auto",) if len(names) > 1 else tuple(names))


def test_auto_is_what_can_do_what_the_recipe_says(planned: Planner) -> None:
    if this_gpu() is not None:
        pytest.skip("there is a GPU here")
    plan = planned(targets=["auto"], build={"ort_format": True})
    assert [target.name for target in plan.targets] == ["ort-cpu"]
    for target in planned(targets=["auto"], build={"precision": "int8"}).targets:
        assert "int8" in target.precisions
    with pytest.raises(UsageError, match="no target that runs here builds fp16"):
        planned(targets=["auto"], build={"precision": "fp16"})


def test_a_precision_that_a_target_lacks_is_told_before_anything_is_trained(planned: Planner) -> None:
    with pytest.raises(UsageError, match="target ort-cpu does not build fp16"):
        planned(targets=["ort-cpu"], build={"precision": "fp16"})


def test_auto_stands_alone(planned: Planner) -> None:
    with pytest.raises(UsageError, match="target auto stands alone"):
        planned(targets=["auto", "ort-cpu"])


def test_options_of_tensorrt_reach_the_target_and_decide_its_key(planned: Planner) -> None:
    if reason := catalog.target_named("tensorrt-rtx").missing():
        pytest.skip(reason)
    build = {"tensorrt": {"capabilities": ["sm89"], "optimization_level": 5}}
    plain, target = planned(targets=["ort-cpu", "tensorrt-rtx"], build=build).targets
    assert (target.settings()["capabilities"], target.settings()["optimization_level"]) == (["sm89"], 5)
    assert plain == catalog.target_named("ort-cpu")


@pytest.mark.parametrize(
    ("build", "targets", "key"),
    [
        ({"tensorrt": {"capabilities": ["sm89"]}}, ["ort-cpu"], "tensorrt"),
        ({"ort_format": True}, ["openvino"], "ort_format"),
        ({"ort_format": True, "tensorrt": {"optimization_level": 5}}, ["ort-cpu"], "tensorrt"),
    ],
)
def test_options_that_concern_no_target_are_told(
    planned: Planner, build: dict[str, Any], targets: list[str], key: str
) -> None:
    with pytest.raises(UsageError, match=rf"build\.{key} is set, but concerns none of the targets"):
        planned(targets=targets, build=build)


def test_an_option_that_tensorrt_for_rtx_lacks_is_told(planned: Planner) -> None:
    with pytest.raises(UsageError, match="tensorrt-rtx has no option version_compatible"):
        planned(targets=["tensorrt-rtx"], build={"tensorrt": {"version_compatible": True}})


def test_planning_makes_no_artifact(planned: Planner, store: Store) -> None:
    planned()
    assert sorted(path.name for path in store.root.iterdir()) == ["data", "records"]


# An ONNX file


@pytest.fixture
def onnx_file(onnx_network: Callable[..., Any], tmp_path: Path) -> Callable[..., str]:
    """Writes a small classifier of three classes and gives its path."""
    import onnx

    def write(**habits: Any) -> str:  # noqa: ANN401 - habits of an exporter
        onnx.save(onnx_network(**habits), tmp_path / "classifier.onnx")
        return str(tmp_path / "classifier.onnx")

    return write


def test_an_onnx_file_is_neither_distilled_nor_pruned(planned: Planner, onnx_file: Callable[..., str]) -> None:
    plan = planned(model=onnx_file(), weights=None)

    assert [stage.name for stage in plan.network_stages()] == ["baseline", "calibrate"]
    assert set(plan.skipped) == {"distill", "prune"}
    assert plan.parts.model.name == "classifier"
    assert plan.parts.weights.origin == "file"


def test_an_onnx_file_is_no_teacher_which_is_told_before_data_are_read(
    planned: Planner, onnx_file: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.chain.plan.open_dataset", None)

    with pytest.raises(UsageError, match="an ONNX file cannot teach") as raised:
        planned(distill={"teachers": [onnx_file()]})
    assert raised.value.where == "distill.teachers"


@pytest.mark.parametrize(
    ("habits", "chosen", "preprocess", "assumed"),
    [
        ({}, {}, PreprocessSpec(size=(16, 16), resize=18), "images resized to 18, centre 16, mean and std"),
        (
            {},
            {"mean": 0.5, "resize": "squash"},
            PreprocessSpec(size=(16, 16), resize="squash", mean=(0.5, 0.5, 0.5)),
            "std",
        ),
        ({"shape": (1, 3, "h", "w")}, {}, IMAGENET, "preprocessing"),
        (
            {"shape": (1, 3, "h", "w")},
            {"size": 112},
            PreprocessSpec(size=(112, 112), resize=128),
            "images resized to 128, centre 112, mean and std",
        ),
        (
            {"shape": (1, 16, 16, 3), "layout": "NHWC", "dtype": "uint8"},
            {},
            PreprocessSpec(size=(16, 16), resize=18, mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255)),
            "images resized to 18, centre 16",
        ),
    ],
)
def test_the_preprocessing_of_an_onnx_file(
    planned: Planner,
    onnx_file: Callable[..., str],
    habits: dict[str, Any],
    chosen: dict[str, Any],
    preprocess: PreprocessSpec,
    assumed: str,
) -> None:
    plan = planned(model=onnx_file(**habits), weights=None, input=chosen)

    assert plan.parts.preprocess == preprocess
    (told,) = plan.assumed
    assert told.startswith(f"{assumed} taken as ImageNet's custom")


@pytest.mark.parametrize(
    ("habits", "fields", "words"),
    [
        ({}, {"input": {"size": 32}}, "takes images of one size"),
        ({"shape": (1, 16, 16, 3), "layout": "NHWC", "dtype": "uint8"}, {"input": {"std": 0.5}}, "takes bytes"),
        ({}, {"weights": "pretrained"}, "holds its weights"),
        ({}, {"goal": {"require": ["prune"]}}, "cannot be trained"),
        ({}, {"distill": {"teachers": ["resnet18"]}}, "cannot be trained"),
    ],
)
def test_what_does_not_go_with_an_onnx_file(
    planned: Planner, onnx_file: Callable[..., str], habits: dict[str, Any], fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        planned(**{"model": onnx_file(**habits), "weights": None, **fields})


@pytest.mark.parametrize("fields", [{"data": {"source": "digits-detection"}}, {"task": "detection"}], ids=str)
def test_an_onnx_file_is_no_detector_which_is_told_before_data_are_read(
    planned: Planner, onnx_file: Callable[..., str], fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.chain.plan.open_dataset", None)
    with pytest.raises(UsageError) as told:
        planned(**{"model": onnx_file(), "weights": None, **fields})

    assert told.value.what == "ONNX files of detectors are not taken, only of classifiers"
    assert (told.value.fix or "").startswith("give a detector as its PyTorch network")


@pytest.mark.parametrize("habits", [{}, {"shape": (1, 16, 16, 3), "layout": "NHWC", "dtype": "uint8"}], ids=str)
def test_the_resolved_recipe_of_an_onnx_file_leads_to_the_same_plan(
    planned: Planner, onnx_file: Callable[..., str], store: Store, habits: dict[str, Any]
) -> None:
    plan = planned(model=onnx_file(**habits), weights=None)

    again = _plan(plan.recipe, store)

    assert again.recipe == plan.recipe
    assert again.parts.preprocess == plan.parts.preprocess
    assert again.skipped.keys() == plan.skipped.keys()


def test_blocks_that_go_are_not_planned_by_a_goal(planned: Planner) -> None:
    with pytest.raises(UsageError, match="a goal decides what is pruned") as raised:
        planned(prune={"blocks": 2}, goal={"latency": "0.5x"})
    assert (raised.value.where, raised.value.got) == ("prune.blocks", "2, and a goal for latency")
    assert planned(prune={"blocks": 2}).recipe.prune.blocks == 2


def test_a_goal_decides_about_blocks_where_it_is_asked_to_or_is_about_time(planned: Planner) -> None:
    assert planned(prune={"blocks": "auto"}, goal={"macs": "0.5x"}).depth_is_open
    assert planned(goal={"latency": "0.5x"}).recipe.prune.blocks == "auto"
    assert planned(goal={"macs": "0.5x"}).recipe.prune.blocks == 0
    assert planned(prune={"blocks": 0}, goal={"latency": "0.5x"}).recipe.prune.blocks == 0
    assert planned(goal={"latency": "0.5x"}, skip=["prune"]).recipe.prune.blocks == 0
    assert planned().recipe.prune.blocks == 0
    with pytest.raises(UsageError, match="is decided by a goal, and there is none") as raised:
        planned(prune={"blocks": "auto"})
    assert (raised.value.where, raised.value.got) == ("prune.blocks", "auto")


@pytest.mark.parametrize(
    ("prune", "got"),
    [({"ratio": 0.25}, "0.25"), ({"scope": "global"}, "global"), ({"channels": {"widen": 8}}, "{'widen': 8}")],
)
def test_how_many_channels_stay_is_said_by_a_goal_or_by_the_user(
    planned: Planner, prune: dict[str, Any], got: str
) -> None:
    with pytest.raises(UsageError, match="a goal decides how many channels stay") as raised:
        planned(prune=prune, goal={"macs": "0.5x"})
    assert (raised.value.where, raised.value.got) == (f"prune.{next(iter(prune))}", f"{got}, and a goal for macs")
    assert planned(prune={"ratio": 0, "blocks": "auto"}, goal={"macs": "0.5x"}).depth_is_open
    assert planned(prune=prune, goal={"macs": "0.5x"}, skip=["prune"])


def test_a_goal_that_is_required_has_to_be_there(planned: Planner) -> None:
    with pytest.raises(UsageError, match="a goal is required, and there is none"):
        planned(goal={"require": ["goal"]})
    assert planned(goal={"require": ["goal"], "max_accuracy_drop": "1%"}).recipe.goal.require == ("goal",)


def test_int8_that_is_required_is_not_made_impossible(planned: Planner, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="another precision is asked for") as raised:
        planned(goal={"require": ["int8"]}, build={"precision": "float"})
    assert (raised.value.where, raised.value.got) == ("goal.require", "int8, and build.precision=float")
    assert planned(goal={"require": ["int8"]}, build={"precision": "int8"})
    monkeypatch.setattr(OrtCpuTarget, "cannot_run", lambda _: "a test")
    with pytest.raises(UsageError, match="whether it holds its limit cannot be measured here"):
        planned(targets=["ort-cpu"], goal={"require": ["int8"]})
    assert planned(targets=["ort-cpu"], goal={"require": ["int8"]}, build={"precision": "int8"})


def test_a_fraction_of_an_onnx_file_is_refused_and_an_amount_is_not(
    planned: Planner, onnx_file: Callable[..., str]
) -> None:
    with pytest.raises(UsageError, match="an ONNX file is not pruned") as raised:
        planned(model=onnx_file(), weights=None, goal={"latency": "0.5x", "macs": "2M"})
    assert (raised.value.where, raised.value.got) == ("goal", "latency=0.5x")
    assert planned(model=onnx_file(), weights=None, goal={"latency": "5ms"}).skipped


def test_a_goal_that_cannot_be_measured_is_refused_before_anything_is_trained(
    planned: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OrtCpuTarget, "cannot_run", lambda _: "a test")
    with pytest.raises(UsageError, match="no target can run here") as raised:
        planned(targets=["ort-cpu"], goal={"latency": "0.5x", "macs": "0.5x"})
    assert (raised.value.where, raised.value.got) == ("goal.latency", "ort-cpu: a test")
    assert planned(targets=["ort-cpu"], goal={"macs": "0.5x", "params": "2M"})
    assert planned(targets=["ort-cpu"], goal={"latency": "5ms"}, skip=["prune", "downsample"])


@pytest.mark.parametrize(
    ("fields", "decided"),
    [
        ({}, True),
        ({"input": {"size": 64}}, False),
        ({"input": {"size": 64}, "downsample": {"size": "auto"}}, True),
        ({"downsample": {"size": 24}}, False),
        ({"downsample": {"stem": "earlier"}}, False),
        ({"downsample": {"size": "auto"}, "skip": ["prune", "downsample"]}, False),
    ],
)
def test_a_goal_has_to_be_measured_exactly_where_it_decides_about_the_size(
    planned: Planner, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], *, decided: bool
) -> None:
    asked = {"skip": ["prune"], "targets": ["ort-cpu"], "goal": {"latency": "0.5x"}}
    plan = planned(**{**asked, **fields})
    assert goal_decides_size(plan.recipe, plan.skipped) is plan.size_is_open is decided
    assert (plan.recipe.downsample.size == "auto") is (decided or "downsample" in fields.get("skip", ()))
    monkeypatch.setattr(OrtCpuTarget, "cannot_run", lambda _: "a test")
    if not decided:
        assert planned(**{**asked, **fields}).skipped
        return
    with pytest.raises(UsageError, match="no target can run here"):
        planned(**{**asked, **fields})


def test_a_recovery_that_learns_from_teachers_needs_some(planned: Planner) -> None:
    with pytest.raises(UsageError) as raised:
        planned(prune={"teachers": "all"}, skip=["distill"])
    assert (raised.value.where, raised.value.got) == ("prune.teachers", "skipped on request")


@pytest.mark.parametrize(("stage", "kind"), [("distill", "mixup"), ("distill", "cutmix"), ("prune", "cutmix")])
def test_views_of_two_images_are_refused_beside_a_file_that_speaks_of_one(
    planned: Planner, stage: str, kind: str
) -> None:
    sections: dict[str, dict[str, Any]] = {
        "distill": {"teachers": ["theirs.safetensors"]},
        "prune": {"teachers": "all"},
    }
    sections[stage]["schedule"] = {"augment": ["shift", kind]}
    with pytest.raises(UsageError, match="a file of answers speaks of each image as it is") as raised:
        planned(**sections)
    assert (raised.value.where, raised.value.got) == (f"{stage}.schedule.augment", f"{kind}, beside theirs.safetensors")


def test_two_images_are_mixed_where_networks_teach_and_where_the_network_recovers_from_itself(planned: Planner) -> None:
    mixing = {"augment": ["mixup"]}
    taught = planned(distill={"schedule": mixing})
    assert taught.recipe.distill.schedule.augment == ("mixup",)
    with pytest.raises(WeightsError, match="there is no such file of answers"):  # and nothing before it
        planned(distill={"teachers": ["theirs.safetensors"]}, prune={"schedule": mixing})


@pytest.mark.parametrize(("stage", "losses"), [("distill", {"features": 1.0}), ("prune", {"attention": 1.0})])
def test_a_file_of_answers_that_no_loss_looks_at_is_refused(
    planned: Planner, stage: str, losses: dict[str, float]
) -> None:
    sections: dict[str, dict[str, Any]] = {
        "distill": {"teachers": ["resnet18", "theirs.safetensors"]},
        "prune": {"teachers": "all"},
    }
    sections[stage]["losses"] = losses
    with pytest.raises(UsageError, match="nothing would be learned from a file of answers") as raised:
        planned(**sections)
    assert raised.value.where == f"{stage}.losses"
    assert raised.value.got == f"{next(iter(losses))}, beside theirs.safetensors"


def test_detectors_beside_a_file_of_answers_teach_by_their_answers_too() -> None:
    files = {"teachers": ["ssdlite320_mobilenet_v3_large", "theirs.safetensors"]}
    for teachers, losses in ((files, {"boxes": 1.0}), ({"teachers": files["teachers"][:1]}, {"pkd": 6.0})):
        recipe = Recipe.model_validate({"model": "ssdlite320_mobilenet_v3_large", "distill": teachers})
        assert for_task(recipe, Detection(), resolve_model(recipe.model)).distill.losses == losses


def test_views_that_move_objects_are_refused_beside_a_file_that_says_where_they_are() -> None:
    for kind in ("flip", "shift", "scale", "affine", "mosaic"):
        distill = {"teachers": ["theirs.safetensors"], "losses": {"boxes": 1.0}, "schedule": {"augment": [kind]}}
        recipe = Recipe.model_validate({"model": "ssdlite320_mobilenet_v3_large", "distill": distill})
        with pytest.raises(UsageError, match="a file of answers speaks of each image as it is"):
            check_asked(recipe, IMAGENET, {}, Detection())


@pytest.mark.parametrize(
    ("stage", "name"), [("baseline", "schedule"), ("distill", "teacher_schedule"), ("prune", "schedule")]
)
def test_patience_needs_images_that_are_held_back(planned: Planner, stage: str, name: str) -> None:
    section = {stage: {name: {"patience": 3}}}
    with pytest.raises(UsageError, match="no images are held back") as raised:
        planned(**section)
    assert (raised.value.where, raised.value.got) == (f"{stage}.{name}.patience", "3")
    assert "data.validation=0.1" in str(raised.value)
    held = planned(**section, data={"source": str(planned().recipe.data.source), "validation": 0.25})
    assert getattr(getattr(held.recipe, stage), name).patience == 3
    if stage != "baseline":
        assert planned(**section, skip=[stage]).skipped[stage] == "skipped on request"


def test_a_first_lesson_has_nothing_to_be_patient_by(planned: Planner) -> None:
    with pytest.raises(UsageError, match="no images are held back") as raised:
        planned(baseline={"objects_schedule": {"patience": 3}}, data={"source": "digits", "validation": 0.1})
    assert raised.value.where == "baseline.objects_schedule.patience"


@pytest.mark.parametrize("stage", ["distill", "prune"])
def test_what_only_detectors_have_teaches_no_classifier(planned: Planner, stage: str) -> None:
    with pytest.raises(UsageError, match="networks for classification cannot learn by 'boxes'") as raised:
        planned(**{stage: {"losses": {"boxes": 1.0}}})
    assert f"{stage}.losses" in str(raised.value)


def _measured(recipe: Recipe, processes: int | None, iterations: int) -> Recipe:
    measure = recipe.measure.model_copy(update={"processes": processes, "iterations": iterations})
    return recipe.model_copy(update={"measure": measure})


@pytest.mark.parametrize(("processes", "iterations"), [(1, 10), (None, 3)])
def test_a_measurement_without_a_median_is_refused_before_any_work(
    tiny_recipe: Recipe, store: Store, processes: int | None, iterations: int
) -> None:
    with pytest.raises(UsageError, match="so few timed inferences tell no median") as raised:
        make_plan(_measured(tiny_recipe, processes, iterations), store, SilentProgress())
    assert raised.value.where == "measure.iterations"


def test_a_measurement_that_has_one_is_made(tiny_recipe: Recipe, store: Store) -> None:
    assert make_plan(_measured(tiny_recipe, 1, 11), store, SilentProgress()).recipe.measure.iterations == 11


def test_a_baseline_sees_the_views_that_teachers_are_asked_about_where_there_are_teachers(planned: Planner) -> None:
    distill = {"schedule": {"epochs": 60}}
    beside, alone = planned(distill=distill), planned(distill=distill, skip=["distill"])

    assert [plan.recipe.baseline.schedule.views for plan in (beside, alone)] == [16, None]
    assert alone.recipe.baseline.schedule == alone.recipe.distill.schedule
    assert beside.baseline_as_distill
    assert alone.baseline_as_distill


# Classes that are uneven


@pytest.mark.parametrize(
    ("fields", "stage"),
    [
        ({}, "distill"),
        ({"skip": ["distill"]}, "prune"),
        ({"skip": ["distill"], "downsample": {"size": 8}}, "downsample"),
        ({"skip": ["distill", "prune"]}, "baseline"),
        ({"skip": ["distill", "prune"], "goal": {"latency": "0.5x"}}, "downsample"),
        ({"skip": ["distill", "prune"], "weights": "given"}, None),
    ],
)
def test_uneven_classes_are_drawn_alike_by_the_first_stage_that_learns(
    planned: Planner, weights_file: Path, tmp_path: Path, fields: dict[str, Any], stage: str | None
) -> None:
    if fields.get("weights") == "given":
        fields = {**fields, "weights": str(weights_file)}
    for name, count in (("cat", 40), ("dog", 8)):
        for part in ("train", "val"):
            folder = tmp_path / "uneven" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (4, 4), (number, len(part), ord(name[0]))).save(folder / f"{number}.png")

    notes = planned(data={"source": str(tmp_path / "uneven")}, **fields).notes

    told = [note for note in notes if "uneven" in note]
    assert [stage is not None and f"; {stage}.schedule.balanced=true" in note for note in told] == [True] * bool(stage)


# Precisions that are slow here


def test_bf16_is_told_once_where_the_cpu_does_not_multiply_it_and_kept_as_it_is_asked_for(
    planned: Planner, onnx_file: Callable[..., str], only_val: Path, weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.environment._cpu_name_and_flags", lambda: ("Zen 3", frozenset({"avx2"})))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    distill = {"schedule": {"precision": "bf16"}}
    plan = planned(distill=distill)

    (told,) = [note for note in plan.notes if "bf16" in note]
    assert told.startswith("distill.schedule.precision: this CPU does not multiply bf16")
    assert plan.recipe.distill.schedule.precision == "bf16"
    for untrained in (
        {"model": onnx_file(), "weights": None},
        {"data": {"source": str(only_val)}, "weights": str(weights_file)},
    ):
        assert not [note for note in planned(distill=distill, **untrained).notes if "bf16" in note]
    given = planned(distill=distill, weights=str(weights_file), skip=["distill", "prune"])
    (told,) = [note for note in given.notes if "bf16" in note]
    assert told.startswith("distill.schedule.precision, should the weights not fit the data")


# What the user said of how networks are fed


def test_only_what_was_said_of_a_network_itself_counts_as_said(
    planned: Planner, tiny_file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.py"
    other.write_text(tiny_file.read_text(encoding="utf-8"), encoding="utf-8")
    half = planned(input={"size": 16, "mean": 0.5})
    student = planned(input={"mean": 0.5, "std": 0.25}, distill={"teachers": [f"{other}:tiny"]})
    fed = {f"{other}:tiny": {"mean": 0.4, "std": 0.2}}
    teacher = planned(distill={"teachers": [f"{other}:tiny"], "teacher_input": fed})

    assert half.normalised_as_said == ()
    assert student.normalised_as_said == (student.parts,)
    assert teacher.normalised_as_said == teacher.teachers
    assert (half.sized_as_said, student.sized_as_said) == ((half.parts,), ())


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"distill": {"losses": {"attention": 1}, "temperature": 2}}, "distill.temperature"),
        ({"distill": {"losses": {"features": 1}, "standardise": True}}, "distill.standardise"),
        ({"distill": {"losses": {"attention": 1}, "weighting": "confidence"}}, "distill.weighting"),
        ({"prune": {"losses": {"attention": 1}, "temperature": 2}}, "prune.temperature"),
    ],
)
def test_what_no_loss_looks_at_is_not_asked_for(planned: Planner, fields: dict[str, Any], where: str) -> None:
    with pytest.raises(UsageError, match="no loss compares these") as raised:
        planned(**fields)
    assert raised.value.where == where
    (section, said), *_ = fields.items()
    planned(**{section: {**said, "losses": {**said["losses"], "kd": 1}}})


def test_a_detector_takes_labels_as_they_are() -> None:
    distill = {"teachers": ["big.py:build"], "losses": {"pkd": 1.0}, "schedule": {"label_smoothing": 0.1}}
    recipe = Recipe.model_validate({"model": "ssdlite320_mobilenet_v3_large", "distill": distill})
    with pytest.raises(UsageError, match="which take labels as they are") as raised:
        check_asked(recipe, IMAGENET, {"downsample": "", "prune": ""}, Detection())
    assert raised.value.where == "distill.schedule.label_smoothing"


def test_without_channels_blocks_have_to_go_by_number_or_by_a_goal(planned: Planner) -> None:
    assert planned(prune={"ratio": 0}, goal={"latency": "0.5x"}).depth_is_open
    assert planned(prune={"ratio": 0, "blocks": 1}).recipe.prune.blocks == 1
    planned(prune={"ratio": 0}, skip=["prune"])
    with pytest.raises(UsageError, match="0 prunes nothing where no blocks go"):
        planned(prune={"ratio": 0})


def test_blocks_stay_where_nodes_of_the_graph_are_named(planned: Planner) -> None:
    named = {"float_nodes": ["node_Conv_7"]}
    assert not planned(export=named, goal={"latency": "0.5x"}).depth_is_open
    with pytest.raises(UsageError, match="nodes are named, which are others") as raised:
        planned(export=named, goal={"latency": "0.5x"}, prune={"blocks": "auto"})
    assert raised.value.where == "export.float_nodes"


def test_a_target_that_is_named_twice_is_one_error(planned: Planner) -> None:
    with pytest.raises(UsageError, match="a target is named twice"):
        planned(targets=["ort-cpu", "ort-cpu"])


@pytest.mark.parametrize(("isa", "width"), [(("avx2", "avx512f"), 16), (("avx2",), 8), (("asimd",), 8)])
def test_a_goal_for_latency_leaves_numbers_of_channels_that_the_machine_takes_at_once(
    tiny_file: Path, tiny_data: Path, store: Store, isa: tuple[str, ...], width: int
) -> None:
    machine = replace(HERE.machine, isa=isa)

    def step(**fields: Any) -> int:  # noqa: ANN401 - raw input
        given = {"model": f"{tiny_file}:tiny", "weights": "none", "data": {"source": str(tiny_data)}, **fields}
        recipe = Recipe.model_validate(given)
        return make_plan(recipe, store, SilentProgress(), machine=machine).recipe.prune.round_to

    goal = {"latency": "0.5x"}
    assert step(goal=goal) == width
    assert step(goal=goal, prune={"round_to": 4}) == 4
    assert step(goal={"macs": "0.5x"}) == step() == 8
    assert step(goal=goal, targets=["ort-cpu", "tensorrt-rtx"]) == 8  # that of kernels of a CPU was measured
