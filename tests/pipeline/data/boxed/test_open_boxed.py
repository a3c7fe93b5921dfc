"""Folders of images with boxes: what they hold, and one message for each thing that is wrong with a box or a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from pipeline.data.boxes import Box
from pipeline.data.open import open_dataset
from pipeline.errors import DataError
from pipeline.progress import SilentProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pipeline.data.dataset import Dataset

SIDES = (60, 40)


def _image(path: Path, number: int, *, orientation: int | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", SIDES, (number % 250, number // 250, 90))
    exif = Image.Exif()
    if orientation:
        exif[274] = orientation
    image.save(path, exif=exif)


def _coco(root: Path, part: str, boxes: Sequence[Any], *, images: int = 12, **changed: Any) -> dict[str, Any]:  # noqa: ANN401
    """Images of a part, of which the first has the boxes and the others one each; the document, written."""
    offset = 0 if part == "train" else 500
    for number in range(images):
        _image(root / part / f"{number}.png", offset + number)
    annotations = [
        {"id": number, "image_id": 0, "category_id": 7, "bbox": box, "iscrowd": 0} for number, box in enumerate(boxes)
    ]
    annotations += [{"id": 100 + n, "image_id": n, "category_id": 3, "bbox": [1, 2, 10, 20]} for n in range(1, images)]
    document = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": SIDES[0], "height": SIDES[1]} for n in range(images)],
        "annotations": annotations,
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
        **changed,
    }
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / f"instances_{part}.json").write_text(json.dumps(document), encoding="utf-8")
    return document


def _yolo(root: Path, part: str, first: str, *, images: int = 12) -> None:
    offset = 0 if part == "train" else 500
    (root / "labels" / part).mkdir(parents=True)
    for number in range(images):
        _image(root / "images" / part / f"{number}.png", offset + number)
        line = first if number == 0 else "1 0.5 0.5 0.5 0.5\n"
        (root / "labels" / part / f"{number}.txt").write_text(line, encoding="utf-8")
    (root / "data.yaml").write_text("names: [cat, dog]\ntrain: images/train\nval: images/val\n", encoding="utf-8")


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Dataset]:
    return lambda root, **options: open_dataset(str(root), cache=tmp_path / "cache", **options)


def test_coco_s_json_is_read(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root = tmp_path / "pets"
    for part in ("train", "val"):
        _coco(root, part, [[10, 5, 20, 30], [0, 0, 60.4, 40]])
    dataset = opened(root)

    assert (dataset.task, dataset.classes) == ("detection", ("cat", "dog"))
    assert len(dataset.test) == 12
    first = next(sample for sample in dataset.test if sample.name == "val/0.png").label
    assert first.size == SIDES
    assert first.boxes == (Box(1, 10, 5, 30, 35), Box(1, 0, 0, 60, 40))  # cut where it was rounded beyond the border


def test_a_box_that_stands_there_twice_counts_once_and_is_told(
    tmp_path: Path, opened: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, notes = tmp_path / "pets", list[str]()
    monkeypatch.setattr(SilentProgress, "note", lambda _, text: notes.append(text))
    _yolo(root, "train", "0 0.5 0.5 0.5 0.25\n" * 3 + "1 0.5 0.5 0.5 0.25\n")
    _yolo(root, "val", "0 0.5 0.5 0.5 0.25\n")
    dataset = opened(root)

    (first,) = (s for s in (*dataset.train, *dataset.calibration) if s.name == "images/train/0.png")
    assert [box.label for box in first.label.boxes] == [0, 1]
    assert any(note.startswith("2 boxes stand there twice, and count once (first: ") for note in notes)


def test_yolo_s_texts_are_read(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root = tmp_path / "pets"
    _yolo(root, "train", "")
    _yolo(root, "val", "0 0.5 0.5 0.5 0.25\n")
    dataset = opened(root)

    assert dataset.classes == ("cat", "dog")
    first = next(sample for sample in dataset.test if sample.name.endswith("val/0.png")).label
    assert first.boxes == (Box(0, 15, 15, 45, 25),)
    empty = [s for s in (*dataset.train, *dataset.calibration) if not s.label.boxes]
    assert [sample.name for sample in empty] == ["images/train/0.png"]


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([56, 5, 20, 30], "lies outside the image of 60x40"),
        ([-16, 5, 20, 30], "lies outside the image of 60x40"),
        ([70, 5, 20, 30], "lies outside the image of 60x40"),
        ([10, 5, 0, 30], "is empty"),
        ([10, 5, 20, -3], "has its corners reversed"),
        ([10, 5, float("nan"), 3], "is no number"),
        ([10, 5, 20], "is no number"),
    ],
)
def test_a_bad_box_is_named_or_left_out(
    tmp_path: Path, opened: Callable[..., Dataset], box: list[float], message: str
) -> None:
    root = tmp_path / "pets"
    _coco(root, "train", [])
    _coco(root, "val", [[1, 1, 5, 5], box])
    with pytest.raises(DataError, match=f"instances_val.json, annotation 2: box .* {message}"):
        opened(root)

    dataset = opened(root, bad_boxes="drop")
    first = next(sample for sample in dataset.test if sample.name == "val/0.png").label
    assert first.boxes == (Box(1, 1, 1, 6, 6),)


def test_a_box_that_reaches_beyond_its_image_is_refused_or_cut_there_and_told(
    tmp_path: Path, opened: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, notes = tmp_path / "pets", list[str]()
    monkeypatch.setattr(SilentProgress, "note", lambda _, text: notes.append(text))
    _coco(root, "train", [])
    _coco(root, "val", [[-5, 5, 20, 30], [50, 5, 20, 60]])
    with pytest.raises(DataError, match=r"box .* lies outside the image of 60x40") as raised:
        opened(root)
    assert "data.bad_boxes=drop, which cuts boxes that reach beyond" in str(raised.value.fix)

    dataset = opened(root, bad_boxes="drop")
    first = next(sample for sample in dataset.test if sample.name == "val/0.png").label
    assert first.boxes == (Box(1, 0, 5, 15, 35), Box(1, 50, 5, 60, 40))
    assert any(note.startswith("2 boxes reach beyond their images: cut at the border (first: ") for note in notes)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0.5 0.5 0.1 0.1", "0.txt, line 1: box '2 0.5 0.5 0.1 0.1' is of an unknown class"),
        ("0 0.5 0.5", "0.txt, line 1: '0 0.5 0.5' is not 'class x y width height'"),
        ("0 0.5 0.5 0.1 x", "0.txt, line 1: '0 0.5 0.5 0.1 x' is not 'class x y width height'"),
        ("0 1.5 0.5 0.1 0.1", "lies outside the image"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, opened: Callable[..., Dataset], line: str, message: str) -> None:
    root = tmp_path / "pets"
    _yolo(root, "train", "")
    _yolo(root, "val", line)
    with pytest.raises(DataError, match=message):
        opened(root)


def test_an_unknown_category_is_named(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root = tmp_path / "pets"
    document = _coco(root, "train", [[1, 1, 5, 5]])
    _coco(root, "val", [])
    document["annotations"][0]["category_id"] = 99
    (root / "annotations" / "instances_train.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(DataError, match=r"box \[1, 1, 5, 5\] of category 99 is of an unknown class"):
        opened(root)


def test_an_image_that_is_not_there_is_named(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root = tmp_path / "pets"
    _coco(root, "train", [])
    _coco(root, "val", [])
    (root / "val" / "3.png").unlink()
    with pytest.raises(DataError, match=r"instances_val.json, image 4: there is no image 3.png"):
        opened(root)
    assert len(opened(root, bad_boxes="drop").test) == 11


def test_a_text_without_an_image_is_named(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root = tmp_path / "pets"
    _yolo(root, "train", "")
    _yolo(root, "val", "")
    (root / "images" / "val" / "3.png").unlink()
    with pytest.raises(DataError, match=r"labels/val/3.txt: there is no image of this name"):
        opened(root)


def test_annotations_for_images_of_another_size_are_refused(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root = tmp_path / "pets"
    _coco(root, "train", [])
    _coco(root, "val", [])
    _image(root / "val" / "2.png", 7)
    Image.new("RGB", (30, 20)).save(root / "val" / "2.png")
    with pytest.raises(DataError, match=r"image 3: is for images of 60x40, 2.png has 30x20"):
        opened(root)


def test_annotations_of_an_image_that_is_not_named_are_refused(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root = tmp_path / "pets"
    _coco(root, "train", [])
    _coco(root, "val", [], annotations=[{"id": 1, "image_id": 77, "category_id": 7, "bbox": [1, 1, 2, 2]}])
    with pytest.raises(DataError, match="annotation 1: it is of image_id 77, which is no image of the file"):
        opened(root)


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [(6, (40 - 35, 10, 40 - 5, 30)), (8, (5, 60 - 30, 35, 60 - 10)), (5, (5, 10, 35, 30)), (7, (5, 30, 35, 50))],
)
def test_boxes_on_the_image_as_it_is_stored_are_turned_with_it(
    tmp_path: Path, opened: Callable[..., Dataset], orientation: int, expected: tuple[float, ...]
) -> None:
    """The annotations are for 60 x 40 pixels, as stored; upright the image has 40 x 60."""
    root = tmp_path / "pets"
    _coco(root, "train", [])
    _coco(root, "val", [[10, 5, 20, 30]])
    _image(root / "val" / "0.png", 500, orientation=orientation)
    first = next(sample for sample in opened(root).test if sample.name == "val/0.png").label

    assert first.size == (40, 60)
    (box,) = first.boxes
    assert (box.left, box.top, box.right, box.bottom) == expected


def test_boxes_on_the_upright_image_stay(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root = tmp_path / "pets"
    _coco(root, "train", [])
    document = _coco(root, "val", [[10, 5, 20, 30]])
    _image(root / "val" / "0.png", 500, orientation=6)
    document["images"][0] |= {"width": 40, "height": 60}
    (root / "annotations" / "instances_val.json").write_text(json.dumps(document), encoding="utf-8")
    first = next(sample for sample in opened(root).test if sample.name == "val/0.png").label

    assert first.boxes == (Box(1, 10, 5, 30, 35),)


def test_a_json_beside_class_folders_is_no_annotation(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root = tmp_path / "pets"
    for number in range(20):
        _image(root / ("cat" if number % 2 else "dog") / f"{number}.png", number)
    (root / "about.json").write_text('{"images": 20}', encoding="utf-8")

    assert opened(root).task == "classification"
