"""Files of answers: read as they were written, brought into our order, or one clear error."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipeline.data.dataset import Sample
from pipeline.errors import DataError, WeightsError
from pipeline.training.shared_answers import read_shared, write_shared


def _samples(*names: str) -> list[Sample]:
    return [Sample(path=Path("elsewhere", name), name=name, label=0, sha256=name) for name in names]


_LOGITS = torch.tensor([[5.0, 1.0, 0.0], [0.0, 7.0, 2.0], [1.0, 2.0, 9.0]])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "theirs.safetensors"
    write_shared(path, _LOGITS, samples=_samples("a.png", "b.png", "c.png"), classes=("x", "y", "z"), model="big")
    return path


def test_answers_come_in_the_order_of_the_images_and_classes_that_ask(file: Path) -> None:
    found = read_shared(file).about(_samples("c.png", "a.png"), ("z", "x", "y"))
    wanted = torch.tensor([[9.0, 1.0, 2.0], [0.0, 5.0, 1.0]])
    torch.testing.assert_close(found.said(torch.arange(2), 0), wanted - wanted.max(dim=1, keepdim=True).values)


def test_nothing_else_is_left_beside_it(file: Path) -> None:
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_an_image_it_says_nothing_of_is_named(file: Path) -> None:
    with pytest.raises(DataError, match=r"says nothing of image 'd\.png'") as raised:
        read_shared(file).about(_samples("a.png", "d.png"), ("x", "y", "z"))
    assert "1 of 2 are lacking" in str(raised.value)


def test_a_class_it_says_nothing_of_is_named(file: Path) -> None:
    with pytest.raises(DataError, match="says nothing of class 'w'"):
        read_shared(file).about(_samples("a.png"), ("x", "w"))


def test_weights_are_no_answers(tmp_path: Path) -> None:
    save_file({"head.weight": torch.zeros(3)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="this is no file of answers") as raised:
        read_shared(tmp_path / "w.safetensors")
    assert "MODEL@w.safetensors" in str(raised.value)


def test_a_cut_file_is_one_error(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(WeightsError, match="cannot be read"):
        read_shared(file)


def test_answers_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "nan.safetensors"
    write_shared(path, torch.full((1, 2), torch.nan), samples=_samples("a.png"), classes=("x", "y"), model="big")
    with pytest.raises(WeightsError, match="damaged"):
        read_shared(path)
