"""Who teaches: names with weights, networks of one's own, files of answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline.chain.teachers import DEFAULT_TEACHERS, answer_files, named_teachers
from pipeline.errors import EdgewrightError, WeightsError
from pipeline.recipe import Recipe

if TYPE_CHECKING:
    from pathlib import Path


def _recipe(*teachers: str) -> Recipe:
    distill: dict[str, Any] = {"teachers": teachers} if teachers else {}
    return Recipe.model_validate({"model": "resnet18", "distill": distill})


def test_where_none_is_named_the_usual_ones_teach() -> None:
    assert tuple(model.name for model, _ in named_teachers(_recipe())) == DEFAULT_TEACHERS


@pytest.mark.parametrize(
    ("text", "name", "weights"),
    [
        ("resnet101", "resnet101", None),
        ("vgg16@pretrained", "vgg16", "pretrained"),
        ("vgg16@none", "vgg16", "none"),
        ("resnet50@my/w.pth", "resnet50", "my/w.pth"),
    ],
)
def test_weights_stand_behind_the_sign(text: str, name: str, weights: str | None) -> None:
    ((model, found),) = named_teachers(_recipe(text))
    assert (model.name, found) == (name, weights)


def test_a_sign_within_a_path_is_none(tiny_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "me@home"
    folder.mkdir()
    (folder / "net.py").write_text(tiny_file.read_text(encoding="utf-8"), encoding="utf-8")
    ((model, weights),) = named_teachers(_recipe(f"{folder / 'net.py'}:tiny"))
    assert (model.name, weights) == ("tiny", None)


def test_an_unknown_teacher_is_one_error() -> None:
    with pytest.raises(EdgewrightError, match="resnet1"):
        named_teachers(_recipe("resnet1@pretrained"))


def test_a_file_of_answers_is_a_teacher_without_network(tmp_path: Path) -> None:
    path = tmp_path / "theirs.safetensors"
    path.write_bytes(b"answers")
    recipe = _recipe("resnet34", str(path))
    assert [model.name for model, _ in named_teachers(recipe)] == ["resnet34"]
    (taken,) = answer_files(recipe)
    assert taken.file == path
    assert "file" not in taken.model_dump()  # its content counts, not its place


def test_a_file_of_answers_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file of answers"):
        answer_files(_recipe(str(tmp_path / "none.safetensors")))
