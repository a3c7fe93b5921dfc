"""Who teaches: names with weights, networks of one's own, files of answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.chain.teachers import answer_files, in_named_order, named_teachers, teacher_parts
from pipeline.errors import EdgewrightError, UsageError, WeightsError
from pipeline.models import WeightsSource
from pipeline.models.resolve import WEIGHTS_FILES
from pipeline.progress import SilentProgress
from pipeline.recipe import Recipe
from pipeline.tasks.classification import Classification
from pipeline.tasks.detection.detection import Detection

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.preprocess import PreprocessSpec
    from pipeline.subject import Parts


_TASK = Classification()


def _recipe(*teachers: str) -> Recipe:
    distill: dict[str, Any] = {"teachers": teachers} if teachers else {}
    return Recipe.model_validate({"model": "resnet18", "distill": distill})


def test_where_none_is_named_the_usual_ones_teach() -> None:
    assert tuple(one.model.name for one in named_teachers(_recipe(), _TASK)) == _TASK.teachers


@pytest.mark.parametrize(
    ("text", "name", "weights"),
    [
        ("resnet101", "resnet101", None),
        ("vgg16@pretrained", "vgg16", "pretrained"),
        (f"vgg16@pretrained:{'a' * 64}", "vgg16", f"pretrained:{'a' * 64}"),
        ("vgg16@none", "vgg16", "none"),
        ("resnet50@my/w.pth", "resnet50", "my/w.pth"),
    ],
)
def test_weights_stand_behind_the_sign(text: str, name: str, weights: str | None) -> None:
    (found,) = named_teachers(_recipe(text), _TASK)
    assert (found.model.name, found.weights) == (name, weights)


@pytest.mark.parametrize("suffix", WEIGHTS_FILES)
def test_a_teacher_takes_the_files_of_weights_that_the_student_takes(suffix: str) -> None:
    (found,) = named_teachers(_recipe(f"resnet50@my/w{suffix}"), _TASK)
    assert (found.model.name, found.weights) == ("resnet50", f"my/w{suffix}")


def test_a_sign_within_a_path_is_none(tiny_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "me@home"
    folder.mkdir()
    (folder / "net.py").write_text(tiny_file.read_text(encoding="utf-8"), encoding="utf-8")
    (found,) = named_teachers(_recipe(f"{folder / 'net.py'}:tiny"), _TASK)
    assert (found.model.name, found.weights) == ("tiny", None)


def test_an_unknown_teacher_is_one_error() -> None:
    with pytest.raises(EdgewrightError, match="resnet1"):
        named_teachers(_recipe("resnet1@pretrained"), _TASK)


def test_a_file_of_answers_is_a_teacher_without_network(tmp_path: Path) -> None:
    path = tmp_path / "theirs.safetensors"
    path.write_bytes(b"answers")
    recipe = _recipe("resnet34", str(path))
    assert [one.model.name for one in named_teachers(recipe, _TASK)] == ["resnet34"]
    (taken,) = answer_files(recipe)
    assert taken.file == path
    assert "file" not in taken.model_dump()  # its content counts, not its place


def test_a_file_of_answers_may_lie_below_a_folder_with_a_sign_in_its_name(tmp_path: Path) -> None:
    path = tmp_path / "me@home" / "theirs.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"answers")
    recipe = _recipe("resnet34", str(path))
    assert [one.model.name for one in named_teachers(recipe, _TASK)] == ["resnet34"]
    assert [taken.file for taken in answer_files(recipe)] == [path]


def test_a_file_of_answers_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file of answers"):
        answer_files(_recipe(str(tmp_path / "none.safetensors")))


def test_both_kinds_of_teacher_stand_as_they_are_named() -> None:
    texts = ("a.safetensors", "resnet18", "b.safetensors", "vgg16@w.safetensors")
    assert in_named_order(texts, ["net 1", "net 2"], ["file 1", "file 2"]) == ["file 1", "net 1", "file 2", "net 2"]


def test_a_teacher_that_is_named_twice_is_one_error() -> None:
    with pytest.raises(UsageError, match="named twice"):
        named_teachers(_recipe("resnet34", "resnet34"), _TASK)


def test_the_input_of_a_teacher_that_does_not_teach_is_one_error() -> None:
    recipe = Recipe.model_validate({"model": "resnet18", "distill": {"teacher_input": {"vgg16": {"size": 64}}}})
    with pytest.raises(UsageError, match="a teacher that is not named") as raised:
        named_teachers(recipe, _TASK)
    assert "vgg16" in str(raised.value)


def _fed(tmp_path: Path, parts: Parts, recipe: dict[str, Any], *, pretrained: bool) -> PreprocessSpec:
    """How the one teacher of a recipe is fed; its published weights are as good as downloaded."""
    whole = Recipe.model_validate({"model": "resnet18", "data": {"source": "photos"}, **recipe})
    (teacher,) = named_teachers(whole, _TASK)
    origin = "pretrained" if pretrained else "scratch"
    found = WeightsSource(origin=origin)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.chain.teachers.resolve_weights", lambda *_args, **_options: found)
        return teacher_parts(parts, teacher, whole, tmp_path, SilentProgress()).preprocess


def test_a_teacher_that_has_to_be_trained_is_fed_as_the_student(tmp_path: Path, session_parts: Parts) -> None:
    found = _fed(tmp_path, session_parts, {"distill": {"teachers": ["resnet34"]}}, pretrained=False)
    assert found == session_parts.preprocess


def test_a_teacher_with_published_weights_is_fed_as_those_want_it(tmp_path: Path, session_parts: Parts) -> None:
    found = _fed(tmp_path, session_parts, {"distill": {"teachers": ["resnet34"]}}, pretrained=True)
    assert (found.size, found.resize, found.mean) == ((224, 224), 256, (0.485, 0.456, 0.406))


def test_a_size_that_the_user_gave_holds_for_teachers_too(tmp_path: Path, session_parts: Parts) -> None:
    recipe = {"distill": {"teachers": ["resnet34"]}, "input": {"size": 112, "mean": 0.1}}
    found = _fed(tmp_path, session_parts, recipe, pretrained=True)
    assert (found.size, found.resize, found.mean) == ((112, 112), 128, (0.485, 0.456, 0.406))


@pytest.mark.parametrize("pretrained", [False, True])
def test_what_is_said_of_a_teachers_input_comes_first(tmp_path: Path, session_parts: Parts, pretrained: bool) -> None:  # noqa: FBT001
    own = {"resnet34": {"size": 96, "mean": 0.5, "std": 0.5}}
    recipe = {"distill": {"teachers": ["resnet34"], "teacher_input": own}}
    found = _fed(tmp_path, session_parts, recipe, pretrained=pretrained)
    assert (found.size, found.mean, found.std) == ((96, 96), (0.5,) * 3, (0.5,) * 3)


def test_a_classifier_teaches_no_detector() -> None:
    with pytest.raises(UsageError, match="resnet34 is no network for detection"):
        named_teachers(_recipe("resnet34"), Detection())


def test_a_detector_is_taught_by_nobody_unasked() -> None:
    assert named_teachers(_recipe(), Detection()) == ()


def _boxes_fed(
    tmp_path: Path,
    parts: Parts,
    monkeypatch: pytest.MonkeyPatch,
    own: dict[str, Any] | None = None,
    **schedule: Any,  # noqa: ANN401 - raw input
) -> PreprocessSpec:
    """How a detector that teaches is fed; its published weights are as good as downloaded."""
    name = "retinanet_resnet50_fpn"
    distill = {"teachers": [name], "teacher_input": {} if own is None else {name: own}, "schedule": schedule}
    whole = Recipe.model_validate({"model": "yolo/x-nano", "data": {"source": "photos"}, "distill": distill})
    (teacher,) = named_teachers(whole, Detection())
    found = WeightsSource(origin="pretrained")
    monkeypatch.setattr("pipeline.chain.teachers.resolve_weights", lambda *_args, **_options: found)
    return teacher_parts(replace(parts, task=Detection()), teacher, whole, tmp_path, SilentProgress()).preprocess


def _placed(parts: Parts, **fields: Any) -> Parts:  # noqa: ANN401 - as of a preprocessing
    spec = {**parts.preprocess.resized("squash").model_dump(), **fields}
    return replace(parts, preprocess=type(parts.preprocess).model_validate(spec))


def test_a_teacher_of_boxes_sees_the_part_of_the_image_that_the_student_sees(
    tmp_path: Path, session_parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = _placed(session_parts, resize="letterbox", place="corner")
    found = _boxes_fed(tmp_path, student, monkeypatch)

    assert (found.size, found.resize, found.place) == ((320, 320), "letterbox", "corner")
    assert found.mean == (0.485, 0.456, 0.406)


def test_a_teacher_of_another_ratio_is_refused_where_images_are_turned(
    tmp_path: Path, session_parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, wide = _placed(session_parts), {"size": [32, 64]}
    assert _boxes_fed(tmp_path, student, monkeypatch, wide, augment=["scale"]).size == (32, 64)
    with pytest.raises(UsageError, match="images are turned for student and teacher alike"):
        _boxes_fed(tmp_path, student, monkeypatch, wide, augment=["affine"])


@pytest.mark.parametrize(
    ("fields", "own"),
    [
        ({}, {"size": 32, "resize": 64}),
        ({"resize": "letterbox", "place": "corner"}, {"resize": "letterbox", "place": "centre"}),
        ({"resize": "letterbox", "place": "corner"}, {"size": [32, 64]}),
    ],
)
def test_a_teacher_of_boxes_that_is_told_to_see_another_part_is_one_error(
    tmp_path: Path,
    session_parts: Parts,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
    own: dict[str, Any],
) -> None:
    with pytest.raises(UsageError, match="sees another part of the images than the student"):
        _boxes_fed(tmp_path, _placed(session_parts, **fields), monkeypatch, own)
