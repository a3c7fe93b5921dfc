"""COCO's JSON: which file is read, which images it is about, and one message for each thing that is no COCO."""

from __future__ import annotations

import contextlib
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.data.open import open_dataset
from pipeline.errors import DataError
from pipeline.progress import SilentProgress
from pipeline.tasks.detection.average_precision import Found, coco_figures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.data.boxes import Box
    from pipeline.data.dataset import Dataset

CAT, DOG = {"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}


class _Told(SilentProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def _images(folder: Path, count: int = 10) -> list[dict[str, Any]]:
    """Drawn into a folder, 60 x 40, no two alike."""
    folder.mkdir(parents=True)
    for number in range(count):
        shade = (number, sum(map(ord, folder.name)) % 250, 90)
        Image.new("RGB", (60, 40), shade).save(folder / f"{number}.png")
    return [{"id": number, "file_name": f"{number}.png", "width": 60, "height": 40} for number in range(count)]


def _write(file: Path, **document: Any) -> None:  # noqa: ANN401 - JSON
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document), encoding="utf-8")


def _set(root: Path, **changed: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """A part train as it should be, and a part val, whose document is changed; that document."""
    documents = {}
    for part in ("train", "val"):
        images = _images(root / part)
        boxes = [{"id": one["id"], "image_id": one["id"], "category_id": 3, "bbox": [1, 2, 10, 20]} for one in images]
        documents[part] = {"images": images, "annotations": boxes, "categories": [CAT, DOG]}
    documents["val"] |= changed
    for part, document in documents.items():
        _write(root / "annotations" / f"instances_{part}.json", **document)
    return documents["val"]


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Dataset]:
    return lambda root, **options: open_dataset(str(root), cache=tmp_path / "cache", **options)


def test_a_category_above_itself_stays_and_one_above_others_goes_where_no_part_uses_it(
    tmp_path: Path, opened: Callable[..., Dataset]
) -> None:
    root = tmp_path / "pets"
    document = _set(root)
    pets = {"id": 0, "name": "pets", "supercategory": "none"}
    categories = [pets, CAT | {"supercategory": "pets"}, DOG | {"supercategory": "dog"}]
    for part in ("train", "val"):
        _write(root / "annotations" / f"instances_{part}.json", **{**document, "categories": categories})
    assert opened(root).classes == ("cat", "dog")

    used = [*document["annotations"], {"id": 99, "image_id": 0, "category_id": 0, "bbox": [1, 1, 5, 5]}]
    _write(root / "annotations" / "instances_val.json", **{**document, "categories": categories, "annotations": used})
    assert opened(root).classes == ("pets", "cat", "dog")


@pytest.mark.parametrize(
    ("above", "classes"),
    [
        ({}, ("cat", "dog")),
        ({"supercategory": ""}, ("cat", "dog")),
        ({"supercategory": "pets"}, ("pets", "cat", "dog")),
        ({"supercategory": "living"}, ("pets", "cat", "dog")),
    ],
)
def test_a_category_that_is_left_out_is_told_and_one_of_a_hierarchy_stays(
    tmp_path: Path, opened: Callable[..., Dataset], above: dict[str, str], classes: tuple[str, ...]
) -> None:
    root, told = tmp_path / "pets", _Told()
    document = _set(root)
    categories = [{"id": 0, "name": "pets", **above}, CAT | {"supercategory": "pets"}, DOG]
    for part in ("train", "val"):
        _write(root / "annotations" / f"instances_{part}.json", **{**document, "categories": categories})
    assert opened(root, progress=told).classes == classes
    note = any(one.startswith("category 'pets' is left out: others are below it") for one in told.notes)
    assert note == ("pets" not in classes)


def test_a_category_above_may_be_said_as_no_text(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root = tmp_path / "pets"
    _set(root, categories=[CAT | {"supercategory": ["pets"]}, DOG])
    assert opened(root).classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"categories": [CAT, DOG, {"id": 3, "name": "cow"}]}, r"two categories have the id 3"),
        ({"categories": [CAT, {"id": 7, "name": "cat"}]}, r"the parts do not have the same categories"),
        ({"categories": [CAT, {"id": [7], "name": "dog"}]}, r"a category has no id or no name"),
        ({"categories": [CAT, {"id": float("inf"), "name": "dog"}]}, r"a category has no id or no name"),
        ({"categories": [CAT, {"id": 7, "name": None}]}, r"a category has no id or no name"),
        ({"categories": [CAT, None]}, r"a category has no id or no name"),
    ],
)
def test_categories_that_are_none_are_refused(
    tmp_path: Path, opened: Callable[..., Dataset], changed: dict[str, Any], message: str
) -> None:
    _set(tmp_path / "pets", **changed)
    with pytest.raises(DataError, match=message):
        opened(tmp_path / "pets")


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        (
            [CAT | {"id": 7}, DOG | {"id": 8}],
            "got: category 7 is 'cat' here, and 'dog' in annotations/instances_train.json",
        ),
        (
            [DOG, CAT, {"id": 9, "name": "cow"}],
            "got: category 9 is 'cow' here, and none in annotations/instances_train.json",
        ),
    ],
)
def test_a_category_of_another_id_or_of_one_part_alone_is_named(
    tmp_path: Path, opened: Callable[..., Dataset], categories: list[dict[str, Any]], message: str
) -> None:
    _set(tmp_path / "pets", categories=categories)
    with pytest.raises(DataError, match=message) as raised:
        opened(tmp_path / "pets")
    assert str(raised.value.where).endswith("instances_val.json")


def test_a_part_may_leave_out_what_it_has_no_box_of(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root = tmp_path / "pets"
    document = _set(root, categories=[CAT])
    assert opened(root).classes == ("cat", "dog")

    document["annotations"][4]["category_id"] = 7
    _write(root / "annotations" / "instances_val.json", **document)
    with pytest.raises(DataError, match=r"instances_val.json, annotation 5: .* of category 7 is of an unknown class"):
        opened(root)


@pytest.mark.parametrize(
    ("name", "message"),
    [("a\nb", "no printable text"), ("", "no printable text"), ("dog", "class 'dog' stands there twice")],
)
def test_names_of_classes_are_looked_at(
    tmp_path: Path, opened: Callable[..., Dataset], name: str, message: str
) -> None:
    document = _set(tmp_path / "pets")
    for part in ("train", "val"):
        categories = [{"id": 3, "name": name}, DOG]
        _write(tmp_path / f"pets/annotations/instances_{part}.json", **{**document, "categories": categories})
    with pytest.raises(DataError, match=message):
        opened(tmp_path / "pets")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "image 10: None has no id or no file_name"),
        ({"id": [9]}, r"image 10: .* has no id or no file_name"),
        ({"id": float("inf")}, r"image 10: .* has no id or no file_name"),
        ({"id": 8}, "image 10: its id 8 is that of another image too"),
        ({"file_name": 9}, "image 10: .* has no id or no file_name"),
        ({"file_name": "8.png"}, "image 10: '8.png' is image 9 too"),
        ({"file_name": "../../secret.png"}, "image 10: '../../secret.png' lies outside the data folder"),
        ({"file_name": "/etc/passwd.png"}, "image 10: '/etc/passwd.png' lies outside the data folder"),
        ({"file_name": "\0.png"}, "image 10: there is no image"),
        ({"file_name": "\udce9.png"}, r"image 10: the name of the image '\\udce9.png' is no text"),
        ({"file_name": 300 * "x"}, "image 10: there is no image x"),
        ({"width": float("inf")}, r"image 10: \[inf, 40\] is no width and height"),
        ({"width": "wide"}, "image 10: .* is no width and height"),
    ],
)
def test_an_image_that_is_none_is_named_or_left_out(
    tmp_path: Path, opened: Callable[..., Dataset], image: dict[str, Any] | None, message: str
) -> None:
    root = tmp_path / "pets"
    document = _set(root)
    document["images"][9] = image and document["images"][9] | image
    document["annotations"] = document["annotations"][:8]
    _write(root / "annotations" / "instances_val.json", **document)
    with pytest.raises(DataError, match=message):
        opened(root)
    assert len(opened(root, bad_boxes="drop").test) == 9


def test_a_width_that_is_not_said_is_not_compared(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    document = _set(tmp_path / "pets")
    document["images"][9] |= {"width": None}
    _write(tmp_path / "pets" / "annotations" / "instances_val.json", **document)
    assert len(opened(tmp_path / "pets").test) == 10


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (None, "annotation 10: None is no annotation"),
        ({"image_id": 77}, "annotation 10: it is of image_id 77, which is no image of the file"),
        ({"image_id": [9]}, r"annotation 10: it is of image_id \[9\], which is no image of the file"),
        ({"iscrowd": "0"}, "annotation 10: its iscrowd '0' is neither 0 nor 1"),
        ({"iscrowd": 2}, "annotation 10: its iscrowd 2 is neither 0 nor 1"),
        ({"category_id": [3]}, r"annotation 10: box .* of category \[3\] is of an unknown class"),
        ({"bbox": [1, 1, 10**400, 2]}, "annotation 10: box .* is no number"),
    ],
)
def test_an_annotation_that_is_none_is_named_or_left_out(
    tmp_path: Path, opened: Callable[..., Dataset], annotation: dict[str, Any] | None, message: str
) -> None:
    root = tmp_path / "pets"
    document = _set(root)
    document["annotations"][9] = annotation and document["annotations"][9] | annotation
    _write(root / "annotations" / "instances_val.json", **document)
    with pytest.raises(DataError, match=message):
        opened(root)
    left = opened(root, bad_boxes="drop").test
    assert sum(len(sample.label.boxes) for sample in left) == 9  # type: ignore[union-attr]


def test_absolute_names_below_the_folder_are_read_also_where_the_folder_is_reached_by_a_link(
    tmp_path: Path, opened: Callable[..., Dataset]
) -> None:
    root = tmp_path / "pets"
    document = _set(root)
    for one in document["images"]:
        one["file_name"] = str(root / "val" / one["file_name"])
    _write(root / "annotations" / "instances_val.json", **document)
    (tmp_path / "link").symlink_to(root)
    assert [sample.name for sample in opened(tmp_path / "link").test] == [f"val/{number}.png" for number in range(10)]


def test_a_folder_that_is_a_link_out_of_the_data_is_followed_and_told(
    tmp_path: Path, opened: Callable[..., Dataset]
) -> None:
    root, told = tmp_path / "pets", _Told()
    _set(root)
    (root / "val").rename(tmp_path / "elsewhere")
    (root / "val").symlink_to(tmp_path / "elsewhere")
    assert len(opened(root, progress=told).test) == 10
    assert any("a folder is a link out of the data folder, and followed (first: val" in note for note in told.notes)


def test_a_part_without_annotations_is_a_part(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    _set(tmp_path / "pets", annotations=[])
    with pytest.raises(DataError, match="there is nothing to find on the test images"):
        opened(tmp_path / "pets")


def test_held_back_images_show_something(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root = tmp_path / "pets"
    document = _set(root)
    _write(root / "annotations" / "instances_train.json", **{**document, "annotations": []})
    with pytest.raises(DataError, match="there is nothing to find on the validation images"):
        opened(root, validation=0.2)


def test_of_coco_s_own_files_that_of_boxes_is_read(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root = tmp_path / "pets"
    document = _set(root)
    _write(root / "annotations" / "person_keypoints_val.json", **{**document, "categories": [CAT]})
    _write(root / "annotations" / "captions_val.json", images=[], annotations=[])
    assert opened(root).classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("parts", "file"),
    [(("val",), "annotations/{}.json"), (("val",), "{}.json"), (("train", "val"), "annotations/{}.json")],
)
def test_a_part_whose_objects_have_no_boxes_is_named_and_not_passed_over(
    tmp_path: Path, opened: Callable[..., Dataset], parts: tuple[str, ...], file: str
) -> None:
    root = tmp_path / "pets"
    document = _set(root)
    outlines = [{"image_id": n, "category_id": 3, "segmentation": [[1, 1, 9, 1, 9, 9]]} for n in range(10)]
    for part in ("train", "val"):
        (root / "annotations" / f"instances_{part}.json").unlink()
        _write(root / file.format(part), **document | ({"annotations": outlines} if part in parts else {}))
    with pytest.raises(DataError, match=rf"got: {parts[0]}.json, annotation 1: it has no bbox; "):
        opened(root)


def test_a_file_without_boxes_stays_aside_where_another_is_for_its_part_or_for_all(
    tmp_path: Path, opened: Callable[..., Dataset]
) -> None:
    root = tmp_path / "pets"
    document = _set(root)
    kinds = document | {"annotations": [{"image_id": 1, "category_id": 3}]}
    _write(root / "annotations" / "kinds_val.json", **kinds)
    _write(root / "annotations" / "kinds.json", **kinds)
    assert len(opened(root).test) == 10

    (root / "annotations" / "instances_train.json").unlink()
    (root / "annotations" / "instances_val.json").rename(root / "annotations" / "instances.json")
    (root / "val").rename(root / "images")
    assert len(opened(root).test) == 2


def test_two_files_for_a_part_are_refused(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root = tmp_path / "pets"
    _write(root / "val.json", **_set(root))
    (root / "annotations" / "instances_val.json").rename(root / "annotations" / "val.json")
    with pytest.raises(DataError, match="two files of annotations are for val"):
        opened(root)


def test_a_file_beside_the_folder_of_its_images_is_read(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root, told = tmp_path / "pets", _Told()
    images = _images(root / "data", 20)
    boxes = [{"image_id": one["id"], "category_id": 3, "bbox": [1, 2, 10, 20]} for one in images]
    _write(root / "labels.json", images=images[:18], annotations=boxes[:18], categories=[CAT, DOG])
    assert opened(root, progress=told).classes == ("cat", "dog")
    assert "2 images are named by no file of annotations, and not used (first: data/18.png)" in told.notes


def test_a_json_of_any_name_is_read_where_there_is_none_of_the_usual_ones(
    tmp_path: Path, opened: Callable[..., Dataset]
) -> None:
    root = tmp_path / "pets"
    document = _set(root)
    for part in ("train", "val"):
        (root / "annotations" / f"instances_{part}.json").unlink()
        _write(root / part / "boxes.json", **document)
    assert len(opened(root).test) == 10

    for number in range(20):  # each about an image
        _write(root / "val" / f"{number}.json", **document)
    assert len(opened(root).train) < 10


def test_boxes_without_categories_are_told_to_be_no_coco(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    document = _set(tmp_path / "pets")
    del document["categories"]
    _write(tmp_path / "pets" / "annotations" / "instances_val.json", **document)
    with pytest.raises(DataError, match=r"this is no COCO document\n  got: no list 'categories'"):
        opened(tmp_path / "pets")


def test_backslashes_lie_between_folders_where_no_file_is_called_so(
    tmp_path: Path, opened: Callable[..., Dataset]
) -> None:
    root = tmp_path / "pets"
    document = _set(root)
    for one in document["images"][1:]:
        one["file_name"] = f"val\\{one['file_name']}"
    (root / "val" / "1.png").rename(root / "val" / "val\\1.png")
    document["images"][9]["file_name"] = "..\\..\\secret.png"
    _write(root / "annotations" / "instances_val.json", **document)
    with pytest.raises(DataError, match=r"got: instances_val.json, image 10: there is no image ..\\..\\secret.png\n"):
        opened(root)
    found = opened(root, bad_boxes="drop").test
    assert sorted(sample.name for sample in found) == [f"val/{n}.png" for n in (0, *range(2, 9))] + ["val/val\\1.png"]


@pytest.mark.parametrize("file", ["annotations/instances_{}.json", "{}/_annotations.coco.json"])
def test_images_may_lie_in_a_folder_within_that_of_the_part(
    tmp_path: Path, opened: Callable[..., Dataset], file: str
) -> None:
    root = tmp_path / "pets"
    document = _set(root)
    for part in ("train", "val"):
        (root / part).rename(root / "images")
        (root / part).mkdir()
        (root / "images").rename(root / part / "images")
        (root / "annotations" / f"instances_{part}.json").rename(root / "annotations" / "moved")
        _write(root / file.format(part), **document)
    assert len(opened(root).test) == 10


def test_the_figures_are_those_of_the_json_with_areas_crowds_and_gaps_between_the_ids(
    tmp_path: Path, opened: Callable[..., Dataset]
) -> None:
    """COCO calls an object small by the area that its file says, which is less than that of its box."""
    draw, root = np.random.default_rng(5), tmp_path / "pets"
    document = _set(root, annotations=[])
    sizes = {one["id"]: (300, 300) for one in document["images"]}
    annotations: list[dict[str, Any]] = []
    for image in document["images"]:
        Image.new("RGB", sizes[image["id"]], (image["id"], 9, 9)).save(root / "val" / image["file_name"])
        image |= {"id": 11 + 3 * image["id"], "width": 300, "height": 300}
        for _ in range(6):
            left, top, wide, high = [*draw.integers(0, 150, 2).tolist(), *draw.integers(20, 149, 2).tolist()]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": int(draw.choice([3, 7])),
                    "bbox": [left, top, wide, high],
                    "area": wide * high * float(draw.uniform(0.3, 1)),
                    "iscrowd": int(draw.random() < 0.15),
                }
            )
    document["annotations"] = annotations
    _write(root / "annotations" / "instances_val.json", **document)
    truth = {sample.path.name: sample.label for sample in opened(root).test}

    found, said = [], []
    for image in document["images"]:
        mine = [one for one in annotations if one["image_id"] == image["id"]]
        boxes = [(np.array(one["bbox"]) + draw.normal(0, 4, 4)).round(2) for one in mine]
        scores = draw.uniform(0.1, 1, len(mine)).round(4)
        said += [
            {"image_id": image["id"], "category_id": one["category_id"], "bbox": box.tolist(), "score": float(score)}
            for one, box, score in zip(mine, boxes, scores, strict=True)
        ]
        corners = np.array([[left, top, left + wide, top + high] for left, top, wide, high in boxes])
        found.append(Found(corners, scores, np.array([{3: 0, 7: 1}[one["category_id"]] for one in mine])))
    figures = coco_figures(found, [truth[one["file_name"]] for one in document["images"]], classes=2).figures  # type: ignore[misc]

    with contextlib.redirect_stdout(io.StringIO()):
        whole = COCO(str(root / "annotations" / "instances_val.json"))
        oracle = COCOeval(whole, whole.loadRes(said), "bbox")
        oracle.evaluate()
        oracle.accumulate()
        oracle.summarize()
    assert list(figures.values()) == pytest.approx([value for value in oracle.stats[:6] if value >= 0], abs=1e-9)
    assert len(figures) == 6
    wanted = [(one["bbox"][0], one["area"], bool(one["iscrowd"])) for one in annotations if one["image_id"] == 11]
    boxes_there: tuple[Box, ...] = truth["0.png"].boxes  # type: ignore[union-attr]
    assert [(box.left, box.covered, box.crowd) for box in boxes_there] == wanted


@pytest.mark.parametrize("inside", ["", "images"])
def test_images_lie_in_a_folder_whose_name_says_the_part_too(
    tmp_path: Path, opened: Callable[..., Dataset], inside: str
) -> None:
    root, told = tmp_path / "pets", _Told()
    document = _set(root)
    for part in ("train", "val"):
        (root / inside).mkdir(exist_ok=True)
        (root / part).rename(root / inside / f"{part}2017")
        (root / "annotations" / f"instances_{part}.json").rename(root / "annotations" / f"{part}.json")
    found = opened(root, progress=told)
    assert len(found.test) == len(document["images"])
    assert {sample.path.parent.name for sample in found.test} == {"val2017"}
    assert not any("are taken from" in note for note in told.notes)


def test_images_anywhere_else_are_found_where_one_folder_alone_has_them_and_told(
    tmp_path: Path, opened: Callable[..., Dataset]
) -> None:
    root, told = tmp_path / "pets", _Told()
    _set(root)
    (root / "photos").mkdir()
    (root / "val").rename(root / "photos" / "second")
    (root / "train").rename(root / "photos" / "first")
    for number in range(10):
        (root / "photos" / "first" / f"{number}.png").rename(root / "photos" / "first" / f"a{number}.png")
    train = root / "annotations" / "instances_train.json"
    train.write_text(train.read_text(encoding="utf-8").replace('"file_name": "', '"file_name": "a'), encoding="utf-8")
    assert {sample.path.parent.name for sample in opened(root, progress=told).test} == {"second"}
    assert "the images of annotations/instances_val.json are taken from photos/second" in told.notes


def test_where_no_image_of_a_file_is_there_it_is_said_where_they_were_looked_for(
    tmp_path: Path, opened: Callable[..., Dataset]
) -> None:
    root = tmp_path / "pets"
    _set(root)
    (root / "val").rename(tmp_path / "elsewhere")
    for folder in ("photos", "more"):  # two that have them: neither is taken
        _images(root / folder)
    with pytest.raises(DataError, match="no image of this file of annotations is there") as raised:
        opened(root)
    assert str(raised.value.where).endswith("instances_val.json")
    assert str(raised.value.got) == "'0.png', the first, is not in pets"
    (tmp_path / "elsewhere").rename(root / "val")
    (root / "train").rename(tmp_path / "elsewhere")  # as where the images that are scored alone were downloaded
    assert len(opened(root, bad_boxes="drop").test) > 0


@pytest.mark.parametrize("name", ["background", "__background__"])
def test_a_background_of_which_no_box_is_left_out_and_told(
    tmp_path: Path, opened: Callable[..., Dataset], name: str
) -> None:
    root, told = tmp_path / "pets", _Told()
    document = _set(root)
    categories = [{"id": 0, "name": name}, CAT, DOG]
    for part in ("train", "val"):
        _write(root / "annotations" / f"instances_{part}.json", **{**document, "categories": categories})
    assert opened(root, progress=told).classes == ("cat", "dog")
    assert f"category {name!r} is left out: no box is of it" in told.notes

    used = [*document["annotations"], {"id": 99, "image_id": 0, "category_id": 0, "bbox": [1, 1, 5, 5]}]
    _write(root / "annotations" / "instances_val.json", **{**document, "categories": categories, "annotations": used})
    assert opened(root).classes == (name, "cat", "dog")


def test_images_that_are_turned_by_their_tag_are_told(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root, told = tmp_path / "pets", _Told()
    _set(root)
    exif = Image.Exif()
    exif[274] = 3
    Image.new("RGB", (60, 40), (9, 9, 9)).save(root / "train" / "3.png", exif=exif)
    opened(root, progress=told)
    rest = "the boxes of all are taken to be for the upright image"
    assert told.notes[-1] == f"1 image is turned upright by its EXIF tag (first: 3.png): {rest}"
    exif[274] = 6  # annotated as it is stored
    Image.new("RGB", (60, 40), (9, 9, 8)).save(root / "train" / "5.png", exif=exif)
    opened(root, progress=told)
    assert told.notes[-1] == (
        "2 images are turned upright by their EXIF tag (first: 3.png): 1 of them with their boxes, which are for the "
        "sides as they are stored; those of the others are taken to be for the upright image"
    )
