"""YOLO's texts: what a line and a data.yaml may say, and one message for each that says something else."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from pipeline.data.boxes import Box
from pipeline.data.open import open_dataset
from pipeline.errors import DataError
from pipeline.progress import SilentProgress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.data.dataset import Dataset


class _Told(SilentProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def _part(root: Path, folder: str, first: str = "0 0.5 0.5 0.5 0.5", *, images: int = 8) -> None:
    """Images of 60 x 40 in a folder below ``images``, and their texts; no two images alike."""
    pictures, texts = root / "images" / folder, root / "labels" / folder
    pictures.mkdir(parents=True)
    texts.mkdir(parents=True)
    for number in range(images):
        Image.new("RGB", (60, 40), (number, sum(map(ord, folder)) % 250, 90)).save(pictures / f"{number}.png")
        (texts / f"{number}.txt").write_text(first if number == 0 else "1 0.5 0.5 0.5 0.5\n", encoding="utf-8")


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Dataset]:
    """Opens a set with parts train and val; the text of val's first image and the data.yaml are given."""

    def open_it(
        line: str = "0 0.5 0.5 0.5 0.5", *, yaml: str = "names: [cat, dog]", told: _Told | None = None
    ) -> Dataset:
        root = tmp_path / "pets"
        if not root.exists():
            _part(root, "train")
            _part(root, "val", line)
        (root / "data.yaml").write_text(yaml, encoding="utf-8")
        return open_dataset(str(root), cache=tmp_path / "cache", progress=told)

    return open_it


def _first(dataset: Dataset) -> tuple[Box, ...]:
    sample = next(sample for sample in dataset.test if sample.name == "images/val/0.png")
    assert not isinstance(sample.label, int)
    return sample.label.boxes


@pytest.mark.parametrize(
    "line",
    [
        "1 0.5 0.5 0.5 0.5 0.93",  # a confidence
        "1 0.25 0.5 0.5 0.25 0.75 0.5 0.5 0.75",  # four corners of a turned box
        "1 0.25 0.25 0.75 0.25 0.5 0.75",  # a polygon
    ],
)
def test_a_line_with_a_confidence_or_a_polygon_is_its_box(opened: Callable[..., Dataset], line: str) -> None:
    assert _first(opened(line)) == (Box(1, 15, 10, 45, 30),)


def test_key_points_behind_a_box_are_no_polygon(opened: Callable[..., Dataset]) -> None:
    yaml = "names: [cat, dog]\nkpt_shape: [2, 3]"
    assert _first(opened("1 0.5 0.5 0.5 0.5 0.1 0.1 2 0.9 0.9 2", yaml=yaml)) == (Box(1, 15, 10, 45, 30),)


@pytest.mark.parametrize("behind", ["0.1 0.1 0.2", "0.1 0.1 0.2 0.2 0.3", "x"])
def test_a_line_of_another_length_is_named(opened: Callable[..., Dataset], behind: str) -> None:
    line = f"1 0.5 0.5 0.5 0.5 {behind}"
    with pytest.raises(DataError, match=f"labels/val/0.txt, line 1: '{line}' is not 'class x y width height'"):
        opened(line)


@pytest.mark.parametrize(
    ("yaml", "classes"),
    [
        ("names: [yes, no]", ("yes", "no")),
        ("names: {0: 1:30, 1: 2024-13-45}", ("1:30", "2024-13-45")),
        ("names:\n  1: off\n  0: 'on'\nversion: 2024-99-99", ("on", "off")),
    ],
)
def test_names_are_what_stands_there(opened: Callable[..., Dataset], yaml: str, classes: tuple[str, ...]) -> None:
    assert opened(yaml=yaml).classes == classes


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("a: &a [x]\nnames: [*a, *a]", "aliases are not used in a data.yaml"),
        ("names: {0: cat, 1: bird, 1: dog}", "key '1' twice"),
        ("names: {0: cat, one: dog}", "the classes are not named"),
        ("names: [cat, [dog]]", "the classes are not named"),
        ("names: [cat, cat]", "class 'cat' stands there twice"),
        ('names: [cat, "d\\nog"]', "a class's name is no printable text"),
        ("names: []", "the classes are not named"),
        ("names: " + 1000 * "[", "this is no YAML"),
        ("? [a]\n: b\nnames: [cat]", "this is no YAML"),
        ("names: [cat, dog]\n" + 1_100_000 * "#", "this file is too large"),
        ("names: [cat, dog]\nval: ../..", "data.yaml names images outside of the data folder"),
        ("names: [cat, dog]\npath: /\nval: tmp", "data.yaml names images outside of the data folder"),
    ],
)
def test_a_data_yaml_of_another_kind_is_refused(opened: Callable[..., Dataset], yaml: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        opened(yaml=yaml)


def test_an_absolute_path_below_the_folder_is_read(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    assert (
        len(opened(yaml=f"names: [cat, dog]\npath: {tmp_path / 'pets'}\ntrain: images/train\nval: images/val").test)
        == 8
    )


def test_all_folders_of_a_part_are_read_and_what_is_not_there_is_told(
    tmp_path: Path, opened: Callable[..., Dataset]
) -> None:
    _part(tmp_path / "pets", "more")
    _part(tmp_path / "pets", "train")
    _part(tmp_path / "pets", "val")
    told = _Told()
    dataset = opened(yaml="names: [cat, dog]\nval: [images/val, images/more]\ntest: images/nowhere", told=told)
    assert {sample.name.split("/")[1] for sample in dataset.test} == {"val", "more"}
    assert "data.yaml says test: images/nowhere, and nothing is there" in told.notes


@pytest.mark.parametrize("yaml", ["", "names: [cat, dog]\npath: ../datasets/pets\ntrain: train\nval: val\n"])
@pytest.mark.parametrize("train", ["train2017", "train"])
def test_parts_are_told_by_words_of_their_names(tmp_path: Path, yaml: str, train: str) -> None:
    root, told = tmp_path / "pets", _Told()
    for folder in (train, "pets-val", "drawn"):
        _part(root, folder)
    (root / ("data.yaml" if yaml else "classes.txt")).write_text(yaml or "cat\ndog\n", encoding="utf-8")
    dataset = open_dataset(str(root), cache=tmp_path / "cache", progress=told)
    assert {sample.path.parent.name for sample in dataset.test} == {"pets-val"}
    assert {sample.path.parent.name for sample in dataset.train} == {train}
    assert "of no part, and not used: images/drawn" in told.notes


def test_an_entry_may_be_written_with_backslashes(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    _part(tmp_path / "pets", "more")
    _part(tmp_path / "pets", "train")
    dataset = opened(yaml="names: [cat, dog]\ntrain: images\\train\nval: ..\\images\\more")
    assert {sample.path.parent.name for sample in dataset.test} == {"more"}


def test_an_entry_may_lead_to_the_folder_above_its_images(tmp_path: Path) -> None:
    root = tmp_path / "pets"
    _part(root / "train", "")
    _part(root / "val", ".")  # the same place, other shades
    yaml = f"names: [cat, dog]\npath: {root}\ntrain: train\nval: val\n"
    (root / "data.yaml").write_text(yaml, encoding="utf-8")
    dataset = open_dataset(str(root), cache=tmp_path / "cache")
    assert [len(sample.label.boxes) for sample in dataset.test] == [1] * 8  # type: ignore[union-attr]

    (root / "val" / "labels" / "77.txt").write_text("1 0.5 0.5 0.5 0.5\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"val/labels/77.txt: there is no image of this name"):
        open_dataset(str(root), cache=tmp_path / "cache")


def test_one_folder_for_two_parts_is_told_and_can_be_split_here(tmp_path: Path) -> None:
    root, yaml = tmp_path / "pets", "names: [cat, dog]\ntrain: images/train2017\n"
    _part(root, "train2017", images=20)
    (root / "data.yaml").write_text(f"{yaml}val: images/train2017\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"train and val are the same images\n  got: 20 different ones in each"):
        open_dataset(str(root), cache=tmp_path / "cache")

    (root / "data.yaml").write_text(yaml, encoding="utf-8")
    assert len(open_dataset(str(root), cache=tmp_path / "cache").test) == 4


def test_a_data_yaml_that_names_parts_is_taken_at_its_word(tmp_path: Path) -> None:
    root, told, yaml = tmp_path / "pets", _Told(), "names: [cat, dog]\ntrain: images/train\n"
    for folder in ("train", "val", "test"):
        _part(root, folder)
    for text in (root / "labels" / "test").iterdir():
        text.unlink()
    (root / "data.yaml").write_text(f"{yaml}val: images/val\ntest:\n", encoding="utf-8")
    dataset = open_dataset(str(root), cache=tmp_path / "cache", progress=told)
    assert {sample.path.parent.name for sample in dataset.test} == {"val"}
    assert "images/test is not named by data.yaml, and not used" in told.notes

    (root / "data.yaml").write_text(f"{yaml}val: images/test\n", encoding="utf-8")
    _part(root, "more")  # the texts of val, so that there is something to find
    (root / "labels" / "more").rename(root / "labels" / "of_more")
    (root / "labels" / "test").rmdir()
    (root / "labels" / "of_more").rename(root / "labels" / "test")
    dataset = open_dataset(str(root), cache=tmp_path / "cache", progress=told)
    assert {sample.path.parent.name for sample in dataset.test} == {"test"}
    assert told.notes[-1] == "images/val is not named by data.yaml, and not used"


def test_a_stale_folder_of_a_part_is_not_mixed_in_unless_nothing_is_where_data_yaml_says(tmp_path: Path) -> None:
    root, told, yaml = tmp_path / "pets", _Told(), "names: [cat, dog]\ntrain: images/train\n"
    for folder in ("train", "val"):
        _part(root, folder)
    _part(root / "valid", "")
    (root / "data.yaml").write_text(f"{yaml}val: images/val\n", encoding="utf-8")
    dataset = open_dataset(str(root), cache=tmp_path / "cache", progress=told)
    assert {sample.name.split("/")[0] for sample in dataset.test} == {"images"}
    assert "valid/images is not named by data.yaml, and not used" in told.notes

    shutil.rmtree(root / "images" / "val")
    shutil.rmtree(root / "labels" / "val")
    (root / "data.yaml").write_text(f"{yaml}val: /of/another/machine/valid/images\n", encoding="utf-8")
    dataset = open_dataset(str(root), cache=tmp_path / "cache")
    assert {sample.name.split("/")[0] for sample in dataset.test} == {"valid"}

    (root / "data.yaml").write_text(f"{yaml}test: valid/images\nval: /of/another/machine/valid\n", encoding="utf-8")
    told.notes.clear()
    dataset = open_dataset(str(root), cache=tmp_path / "cache", progress=told)
    assert {sample.name.split("/")[0] for sample in dataset.test} == {"valid"}
    assert "data.yaml says val: /of/another/machine/valid, and nothing is there" in told.notes


def test_images_are_not_mixed_where_the_parts_of_a_data_yaml_are_not_there(tmp_path: Path) -> None:
    root = tmp_path / "pets"
    _part(root, "")
    (root / "data.yaml").write_text("names: [cat, dog]\ntrain: a\nval: [b, c]\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"nothing is where data.yaml says the parts are\n  got: train: a, val: b"):
        open_dataset(str(root), cache=tmp_path / "cache")


def test_a_list_of_images_is_read(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root, yaml = tmp_path / "pets", "names: [cat, dog]\ntrain: images/train\nval: lists/val.txt"
    opened()
    (root / "lists").mkdir()
    listed = ["../images/val/0.png", "images\\val\\3.png", str(root / "images" / "val" / "5.png")]
    (root / "lists" / "val.txt").write_text("\n".join(listed), encoding="utf-8")
    dataset = opened(yaml=yaml)
    assert [sample.name for sample in dataset.test] == ["images/val/0.png", "images/val/3.png", "images/val/5.png"]
    assert all(boxes.label.boxes for boxes in dataset.test)  # type: ignore[union-attr]

    (root / "lists" / "val.txt").write_text("images/val/77.png\n/etc/passwd\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"val.txt, path 1: there is no image .*77.png; .*path 2: /etc/passwd lies out"):
        opened(yaml=yaml)


def test_a_text_that_is_far_too_large_is_named(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    opened()
    with (tmp_path / "pets" / "labels" / "val" / "3.txt").open("wb") as text:
        text.truncate(9 << 20)
    with pytest.raises(DataError, match=r"labels/val/3.txt: is larger than"):
        opened()


def test_a_folder_within_that_is_a_link_is_told(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    opened()
    (tmp_path / "pets" / "images" / "val" / "linked").symlink_to(tmp_path / "pets" / "images" / "train")
    told = _Told()
    assert len(opened(told=told).test) == 8
    assert any("not followed (first: images/val/linked)" in note for note in told.notes)


def test_images_without_a_text_are_counted(opened: Callable[..., Dataset], tmp_path: Path) -> None:
    opened(told=(told := _Told()))
    assert not any("no text" in note for note in told.notes)
    for number in (3, 5):
        (tmp_path / "pets" / "labels" / "train" / f"{number}.txt").unlink()
    shutil.rmtree(tmp_path / "cache")
    opened(told=(told := _Told()))
    note = "2 of 8 images of train have no text and are taken to show nothing (first: labels/train/3.txt)"
    assert any(note in one for one in told.notes)
