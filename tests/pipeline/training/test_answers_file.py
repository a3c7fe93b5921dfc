"""Files of answers: read as they were written, brought into our order, or one clear error."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipeline.data.dataset import Sample
from pipeline.errors import DataError, WeightsError
from pipeline.preprocess import PreprocessSpec
from pipeline.tasks.classification import Classification
from pipeline.tasks.detection.detection import Detection
from pipeline.training.answers_file import SCHEMA, read_shared, write_shared

_TASK = Classification()
_SQUASHED = PreprocessSpec(size=(4, 6))


def _samples(*names: str) -> list[Sample]:
    return [Sample(path=Path("elsewhere", name), name=name, label=0, sha256=name) for name in names]


_LOGITS = torch.tensor([[5.0, 1.0, 0.0], [0.0, 7.0, 2.0], [1.0, 2.0, 9.0]])


_BOXES = {
    "boxes": torch.rand(1, 3, 4).half(),
    "scores": torch.tensor([[0.9, 0.8, 0.7]]).half(),
    "classes": torch.tensor([[2, 0, 1]], dtype=torch.int16),
}


def _write(path: Path, tensors: dict[str, torch.Tensor], *names: str, task: str = "classification") -> None:
    told = {"classes": ("x", "y", "z"), "model": "big", "task": task, "preprocess": _SQUASHED}
    write_shared(path, tensors, samples=_samples(*names), **told)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "theirs.safetensors"
    _write(path, {"logits": _LOGITS.half()}, "a.png", "b.png", "c.png")
    return path


def test_answers_come_in_the_order_of_the_images_and_classes_that_ask(file: Path) -> None:
    found = read_shared(file).about(_samples("c.png", "a.png"), ("z", "x", "y"), _TASK, _SQUASHED)
    wanted = torch.tensor([[9.0, 1.0, 2.0], [0.0, 5.0, 1.0]])
    torch.testing.assert_close(
        found.said(torch.arange(2), 0)["logits"].float(), wanted - wanted.max(dim=1, keepdim=True).values
    )


def test_nothing_else_is_left_beside_it(file: Path) -> None:
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_an_image_it_says_nothing_of_is_named(file: Path) -> None:
    with pytest.raises(DataError, match=r"says nothing of image 'd\.png'") as raised:
        read_shared(file).about(_samples("a.png", "d.png"), ("x", "y", "z"), _TASK, _SQUASHED)
    assert "1 of 2 are lacking" in str(raised.value)


def test_a_class_it_says_nothing_of_is_named(file: Path) -> None:
    with pytest.raises(DataError, match="says nothing of class 'w'"):
        read_shared(file).about(_samples("a.png"), ("x", "w"), _TASK, _SQUASHED)


def test_weights_are_no_answers(tmp_path: Path) -> None:
    save_file({"head.weight": torch.zeros(3)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="this is no file of answers") as raised:
        read_shared(tmp_path / "w.safetensors")
    assert "MODEL@w.safetensors" in str(raised.value)


def test_a_cut_file_is_one_error(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(WeightsError, match="cannot be read"):
        read_shared(file)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"images": "[1]"},
        {"images": "{"},
        {"images": '["a.png"]', "classes": "3"},
        {"images": '["a.png"]', "classes": '["x"]', "seen": "{}"},
    ],
)
def test_a_file_that_does_not_tell_its_images_and_classes_is_one_error(tmp_path: Path, told: dict[str, str]) -> None:
    save_file({"logits": torch.zeros(1, 3)}, tmp_path / "a.safetensors", metadata={"schema": SCHEMA, **told})
    with pytest.raises(WeightsError, match="this file of answers is damaged"):
        read_shared(tmp_path / "a.safetensors")


def test_answers_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "nan.safetensors"
    _write(path, {"logits": torch.full((1, 3), torch.nan)}, "a.png")
    with pytest.raises(WeightsError, match="damaged"):
        read_shared(path)


@pytest.mark.parametrize("columns", [2, 5])
def test_other_classes_than_it_says_are_damage(tmp_path: Path, columns: int) -> None:
    _write(tmp_path / "other.safetensors", {"logits": torch.zeros(1, columns)}, "a.png")
    with pytest.raises(WeightsError, match="damaged") as raised:
        read_shared(tmp_path / "other.safetensors").about(_samples("a.png"), ("x", "y"), _TASK, _SQUASHED)
    assert f"logits (1, {columns}), 1 images, 3 classes" in str(raised.value)


def test_answers_of_another_task_are_refused(file: Path) -> None:
    with pytest.raises(WeightsError, match="these answers are for classification"):
        read_shared(file).about(_samples("a.png"), ("x", "y", "z"), Detection(), _SQUASHED)


def test_boxes_come_with_the_numbers_of_the_classes_that_ask_and_without_those_of_others(tmp_path: Path) -> None:
    _write(tmp_path / "boxes.safetensors", Detection().shared(_BOXES, 3), "a.png", task="detection")
    found = read_shared(tmp_path / "boxes.safetensors").about(_samples("a.png"), ("z", "x"), Detection(), _SQUASHED)
    said = found.said(torch.tensor([0]), 0)

    assert torch.equal(said["boxes"], _BOXES["boxes"])
    assert said["classes"][0, :2].tolist() == [0, 1]
    assert [round(score, 1) for score in said["scores"][0].tolist()] == [0.9, 0.8, 0.0]  # nobody asks for y


def test_places_are_taken_only_by_who_sees_the_same_part_of_the_images(tmp_path: Path) -> None:
    file = tmp_path / "boxes.safetensors"
    _write(file, Detection().shared(_BOXES, 3), "a.png", task="detection")
    asked = _samples("a.png"), ("x",), Detection()
    found = read_shared(file)

    assert found.about(*asked, PreprocessSpec(size=(8, 8), mean=0, std=1)).said(torch.tensor([0]), 0)
    with pytest.raises(WeightsError, match="not in what its student sees") as raised:
        found.about(*asked, PreprocessSpec(size=(4, 6), resize="letterbox", place="corner"))
    assert "resize squash for (4, 6)" in str(raised.value)
    assert "expected: resize letterbox in the corner for (4, 6)" in str(raised.value)


def test_a_file_that_does_not_say_what_was_seen_teaches_no_places(tmp_path: Path) -> None:
    """As they were written before that was told; logits are about the whole image whatever was seen of it."""
    told = {"schema": SCHEMA, "images": '["a.png"]', "classes": '["x", "y", "z"]'}
    save_file({"logits": _LOGITS[:1]}, tmp_path / "logits.safetensors", metadata=told)
    save_file(Detection().shared(_BOXES, 3), tmp_path / "boxes.safetensors", metadata={**told, "task": "detection"})

    assert read_shared(tmp_path / "logits.safetensors").about(_samples("a.png"), ("x", "y"), _TASK, _SQUASHED)
    with pytest.raises(WeightsError, match="nothing of how the images were resized"):
        read_shared(tmp_path / "boxes.safetensors").about(_samples("a.png"), ("x",), Detection(), _SQUASHED)
