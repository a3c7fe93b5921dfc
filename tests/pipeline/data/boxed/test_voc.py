"""Folders with Pascal VOC's XML: what they hold, and one message for each thing that is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image

from pipeline.data.boxed.voc_file import NotVocError, read_voc_file
from pipeline.data.boxes import Box
from pipeline.data.open import open_dataset
from pipeline.errors import DataError
from pipeline.progress import SilentProgress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.data.dataset import Dataset

SIDES = (60, 40)
CAT = (
    "<object><name>cat</name><difficult>0</difficult><part><name>head</name><bndbox><xmin>2</xmin><ymin>2</ymin>"
    "<xmax>9</xmax><ymax>9</ymax></bndbox></part>\n<bndbox><xmin>11</xmin><ymin>6</ymin><xmax>30</xmax><ymax>35</ymax>"
    "</bndbox></object>"
)
DOG = "<object><name>dog</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>60</xmax><ymax>40</ymax></bndbox></object>"


def _image(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIDES, (number % 250, number // 250, 90)).save(path)


def _xml(path: Path, objects: str, *, filename: str | None = None, head: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    name = f"{path.stem}.png" if filename is None else filename
    size = f"<size><width>{SIDES[0]}</width><height>{SIDES[1]}</height><depth>3</depth></size>"
    path.write_text(f"{head}<annotation>\n<filename>{name}</filename>\n{size}\n{objects}\n</annotation>", "utf-8")


def _devkit(root: Path, first: str = CAT + DOG, *, images: int = 12) -> None:
    """As VOC itself lays a set out; the first image of each part has those objects, the others a cat each."""
    for part, offset in (("train", 0), ("val", 500)):
        names = []
        for number in range(offset, offset + images):
            names.append(f"{number:06}")
            _image(root / "JPEGImages" / f"{number:06}.png", number)
            _xml(root / "Annotations" / f"{number:06}.xml", first if number == offset else CAT)
        lists = root / "ImageSets" / "Main"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f"{part}.txt").write_text("\n".join(names) + "\n\n", encoding="utf-8")
        (lists / f"cat_{part}.txt").write_text("".join(f"{name} -1\n" for name in names), encoding="utf-8")


class _Told(SilentProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Dataset]:
    return lambda root, **options: open_dataset(str(root), cache=tmp_path / "cache", **options)


def _boxes(dataset: Dataset, name: str) -> tuple[Box, ...]:
    return next(s for s in (*dataset.test, *dataset.train, *dataset.calibration) if s.name.endswith(name)).label.boxes


@pytest.mark.parametrize("inner", [".", "VOC2012", "VOCdevkit/VOC2007"])
def test_a_set_as_voc_lays_it_out_is_read(tmp_path: Path, opened: Callable[..., Dataset], inner: str) -> None:
    root, told = tmp_path / "pets", _Told()
    _devkit(root / inner)
    dataset = opened(root, progress=told)

    assert (dataset.task, dataset.classes, len(dataset.test)) == ("detection", ("cat", "dog"), 12)
    assert told.notes[0] == "pets: Pascal VOC's XML files, 24 images in train, val, 2 classes"
    # Pixels are counted from 1, the last one included; what is said of a part of the cat is not its box.
    assert _boxes(dataset, "000500.png") == (Box(0, 10, 5, 30, 35), Box(1, 0, 0, 60, 40))


def test_a_set_that_counts_from_0_is_taken_at_its_word(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root = tmp_path / "pets"
    _devkit(root, CAT + DOG.replace("<xmin>1<", "<xmin>0<"))

    assert _boxes(opened(root), "000500.png") == (Box(0, 11, 6, 30, 35), Box(1, 0, 1, 60, 40))


@pytest.mark.parametrize("folder", ["{part}", "{part}/annotations"])
def test_parts_in_folders_of_their_own_are_read(tmp_path: Path, opened: Callable[..., Dataset], folder: str) -> None:
    root = tmp_path / "pets"
    for part, offset in (("train", 0), ("valid", 500)):
        for number in range(offset, offset + 12):
            _image(root / part / ("images" if "/" in folder else "") / f"{number}.png", number)
            _xml(root / folder.format(part=part) / f"{number}.xml", DOG)
    dataset = opened(root)

    assert (dataset.classes, len(dataset.test)) == (("dog",), 12)


def test_a_folder_of_images_and_files_beside_each_other_is_split(
    tmp_path: Path, opened: Callable[..., Dataset]
) -> None:
    root = tmp_path / "pets"
    for number in range(40):
        _image(root / f"{number}.png", number)
        _xml(root / f"{number}.xml", DOG if number % 4 else "", filename="IMG of the camera.JPG")
    dataset = opened(root)

    assert min(len(dataset.train), len(dataset.calibration), len(dataset.test)) > 0
    assert len(dataset.train) + len(dataset.calibration) + len(dataset.test) == 40
    assert any(not sample.label.boxes for sample in dataset.train)


def test_classes_txt_fixes_their_order(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root = tmp_path / "pets"
    _devkit(root)
    (root / "classes.txt").write_text("dog\nbird\ncat\n", encoding="utf-8")
    dataset = opened(root)

    assert dataset.classes == ("dog", "bird", "cat")
    assert [box.label for box in _boxes(dataset, "000500.png")] == [2, 0]


def test_difficult_objects_are_told_apart_and_change_no_other_identity(
    tmp_path: Path, opened: Callable[..., Dataset]
) -> None:
    root = tmp_path / "pets"
    _devkit(root, CAT + DOG.replace("<bndbox>", "<difficult>1</difficult><bndbox>"))
    cat, dog = _boxes(opened(root), "000500.png")

    assert (cat.difficult, cat.counts, dog.difficult, dog.counts) == (False, True, True, False)
    assert (len(cat.to_json()), dog.to_json()[6:]) == (6, [True])


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (
            DOG.replace("<xmax>60<", "<xmax>90<"),
            r"000500.xml, line 4: box \[1, 1, 90, 40\] of class 'dog' lies outside",
        ),
        ("\n" + DOG.replace("<xmax>60<", "<xmax>x<"), "000500.xml, line 5: box .* of class 'dog' is no number"),
        (DOG.replace("<ymax>40</ymax>", ""), "000500.xml, line 4: box .* of class 'dog' is no number"),
        (DOG.replace("<xmax>60<", "<xmax>0<"), "of class 'dog' is empty"),
        (DOG.replace("<xmin>1<", "<xmin>9<").replace("<xmax>60<", "<xmax>5<"), "has its corners reversed"),
        (DOG.replace("<name>dog</name>", ""), "000500.xml, line 4: box .* of class '' is of an unknown class"),
        ("<object>", "000500.xml: line 5: is no XML .mismatched tag"),
        ("</annotation><annotation>", "000500.xml: line 4: is no XML .junk after document element"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_or_left_out(
    tmp_path: Path, opened: Callable[..., Dataset], objects: str, message: str
) -> None:
    root = tmp_path / "pets"
    _devkit(root)
    _xml(root / "Annotations" / "000500.xml", objects)
    with pytest.raises(DataError, match=message):
        opened(root)

    assert len(opened(root, bad_boxes="drop").test) in {11, 12}


def test_files_without_images_and_images_without_files_are_named(
    tmp_path: Path, opened: Callable[..., Dataset]
) -> None:
    root = tmp_path / "pets"
    for number in range(30):
        _image(root / "images" / f"{number}.png", number)
        _xml(root / "annotations" / f"{number}.xml", DOG)
    (root / "images" / "3.png").unlink()
    with pytest.raises(DataError, match=r"annotations/3.xml: there is no image 3.png"):
        opened(root)
    (root / "annotations" / "3.xml").unlink()
    (root / "annotations" / "4.xml").unlink()
    with pytest.raises(DataError, match=r"images/4.png: there is no XML file about it"):
        opened(root)


def _nested(root: Path, folders: tuple[str, ...]) -> None:
    """Sub-folders whose files have the same names: a cat on each image of the first, a dog on those of the others."""
    for place, folder in enumerate(folders):
        for number in range(20):
            _image(root / "JPEGImages" / folder / f"{number}.png", 500 * place + number)
            _xml(root / "Annotations" / folder / f"{number}.xml", DOG if place else CAT)


def test_folders_within_are_read_path_by_path(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root = tmp_path / "pets"
    _nested(root, ("x", "y/z"))
    dataset = opened(root)
    every = (*dataset.train, *dataset.calibration, *dataset.test)

    assert len(every) == 40
    assert all([box.label for box in sample.label.boxes] == ["/z/" in sample.name] for sample in every)
    (root / "Annotations" / "x" / "3.xml").unlink()
    with pytest.raises(DataError, match=r"got: JPEGImages/x/3.png: there is no XML file about it\n"):
        opened(root)


def test_folders_within_that_are_named_for_parts_are_these(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root = tmp_path / "pets"
    _nested(root, ("train2012", "my-val"))
    dataset = opened(root)
    assert {sample.path.parent.name for sample in dataset.test} == {"my-val"}
    assert {sample.path.parent.name for sample in dataset.train} == {"train2012"}

    _xml(root / "Annotations" / "more" / "1.xml", CAT)
    with pytest.raises(DataError, match="does not say which part it is for") as raised:
        opened(root)
    assert str(raised.value.where).endswith("Annotations/more/1.xml")


def test_an_image_in_a_folder_of_its_own_is_found_by_name_where_that_is_unique(
    tmp_path: Path, opened: Callable[..., Dataset]
) -> None:
    root = tmp_path / "pets"
    for number in range(20):
        _image(root / "JPEGImages" / "x" / f"{number}.png", number)
        _xml(root / "Annotations" / f"{number}.xml", DOG)
    opened(root)
    _image(root / "JPEGImages" / "y" / "3.png", 99)
    message = r"a bad box .*\n  got: Annotations/3.xml: may be about JPEGImages/x/3.png or JPEGImages/y/3.png\n"
    with pytest.raises(DataError, match=message):
        opened(root)


def test_of_images_of_one_name_that_one_is_taken_which_the_file_names_and_the_others_are_told(
    tmp_path: Path, opened: Callable[..., Dataset]
) -> None:
    root, told = tmp_path / "pets", _Told()
    for number in range(20):
        _image(root / "photos" / f"{number}.png", number)
        _image(root / "masks" / f"{number}.bmp", number)
        _xml(root / "Annotations" / f"{number}.xml", DOG)
    dataset = opened(root, progress=told)

    assert {sample.path.parent.name for sample in (*dataset.train, *dataset.test)} == {"photos"}
    note = "20 images are not used, since the XML file of that name is about another (first: masks/0.bmp)"
    assert note in told.notes


def test_a_list_names_files_in_folders_within(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root = tmp_path / "pets"
    _nested(root, ("x", "y"))
    _image(root / "JPEGImages" / "z" / "77.png", 77)
    _xml(root / "Annotations" / "z" / "77.xml", DOG)
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("".join(f"x/{number}\n" for number in range(20)), encoding="utf-8")
    (lists / "test.txt").write_text("y/3\n77\n", encoding="utf-8")
    assert [sample.name for sample in opened(root).test] == ["JPEGImages/y/3.png", "JPEGImages/z/77.png"]

    (lists / "test.txt").write_text("3\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"test.txt, line 1: '3' may be Annotations/x/3.xml or Annotations/y/3.xml"):
        opened(root)


def test_two_files_about_one_image_are_named_and_the_first_stays(
    tmp_path: Path, opened: Callable[..., Dataset]
) -> None:
    root = tmp_path / "pets"
    _devkit(root, DOG)
    _xml(root / "Annotations" / "000500_copy.xml", CAT, filename="000500.png")
    listed = root / "ImageSets" / "Main" / "val.txt"
    names = listed.read_text(encoding="utf-8")
    listed.write_text(f"{names}000500\n", encoding="utf-8")  # once more the same, which says nothing new

    assert _boxes(opened(root), "000500.png") == (Box(1, 0, 0, 60, 40),)
    listed.write_text(f"{names}000500_copy\n", encoding="utf-8")
    message = r"a bad box .*\n  got: Annotations/000500_copy.xml: is about 000500.png, as Annotations/000500.xml is\n"
    with pytest.raises(DataError, match=message):
        opened(root)
    assert _boxes(opened(root, bad_boxes="drop"), "000500.png") == (Box(1, 0, 0, 60, 40),)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("000777", r"ImageSets/Main/val.txt, line 3: there is no Annotations/000777.xml"),
        ("../../secret", r"ImageSets/Main/val.txt, line 3: '../../secret' is no name of a file"),
        ("/etc/passwd", r"ImageSets/Main/val.txt, line 3: '/etc/passwd' is no name of a file"),
        (".", r"ImageSets/Main/val.txt, line 3: there is no Annotations/..xml"),
        ("..", r"ImageSets/Main/val.txt, line 3: there is no Annotations/...xml"),
        ("a/", r"ImageSets/Main/val.txt, line 3: there is no Annotations/a/.xml"),
    ],
)
def test_a_list_that_names_what_is_not_there_is_told(
    tmp_path: Path, opened: Callable[..., Dataset], line: str, message: str
) -> None:
    root = tmp_path / "pets"
    _devkit(root)
    listed = root / "ImageSets" / "Main" / "val.txt"
    first, *others = listed.read_text(encoding="utf-8").splitlines()
    listed.write_text("\n".join([first, "", line, *others]), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        opened(root)


def test_several_sets_in_one_folder_are_refused(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    for year in ("VOC2007", "VOC2012"):
        _devkit(tmp_path / "pets" / "VOCdevkit" / year)
    with pytest.raises(DataError, match="there are several sets in this folder"):
        opened(tmp_path / "pets")


def test_annotations_in_another_format_beside_it_are_told(tmp_path: Path, opened: Callable[..., Dataset]) -> None:
    root, told = tmp_path / "pets", _Told()
    _devkit(root)
    for part in ("train", "val"):
        (root / "labels" / part).mkdir(parents=True)
        for number in range(12):
            _image(root / "images" / part / f"{number}.png", number + (500 if part == "val" else 0))
            (root / "labels" / part / f"{number}.txt").write_text("0 0.5 0.5 0.5 0.5", encoding="utf-8")
    (root / "classes.txt").write_text("cat\ndog\n", encoding="utf-8")
    opened(root, progress=told)

    assert told.notes[0].startswith("pets: YOLO's text files, 24 images")
    assert told.notes[0].endswith("; Pascal VOC's XML files there are not read")


HOSTILE = {
    "entities that grow": '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
    "a file": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
    "an address": '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd">',
}


@pytest.mark.parametrize("head", HOSTILE.values(), ids=list(HOSTILE))
@pytest.mark.parametrize("bad_boxes", ["refuse", "drop"])
def test_hostile_xml_is_refused_whatever_is_dropped(
    tmp_path: Path, opened: Callable[..., Dataset], head: str, bad_boxes: str
) -> None:
    root = tmp_path / "pets"
    _devkit(root)
    _xml(root / "Annotations" / "000501.xml", CAT.replace("cat", "&b;"), head="<?xml version='1.0'?>\n" + head)
    with pytest.raises(DataError, match=r"declares a document type") as raised:
        opened(root, bad_boxes=bad_boxes)
    assert str(raised.value.where).endswith("000501.xml, line 2")


def test_an_entity_nobody_declared_is_no_xml(tmp_path: Path) -> None:
    _xml(tmp_path / "1.xml", CAT.replace("cat", "&b;"))
    with pytest.raises(NotVocError, match=r"line 4: is no XML .undefined entity"):
        read_voc_file(tmp_path / "1.xml")


@pytest.mark.parametrize("content", ["", "no XML", "<a/>", "\x00\x00", "<annotation>" + "<a>" * 200_000])
def test_what_is_no_annotation_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "1.xml").write_text(content, encoding="utf-8")
    with pytest.raises(NotVocError, match=r"line \d+: is no"):
        read_voc_file(tmp_path / "1.xml")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "1.xml").open("wb") as opened:
        opened.truncate(9 << 20)
    with pytest.raises(DataError, match="too large"):
        read_voc_file(tmp_path / "1.xml")


def test_other_encodings_and_ways_of_writing_are_read(tmp_path: Path) -> None:
    text = (
        "<?xml version='1.0' encoding='utf-16'?><annotation><filename>C:\\pictures\\kätzchen.jpg</filename><size>"
        "<width>0</width><height>0</height></size><object><name> Käse &amp; Brot </name><difficult>True</difficult>"
        "<bndbox><ymax>4.5</ymax><xmax>3e0</xmax><ymin>2</ymin><xmin>1</xmin></bndbox></object></annotation>"
    )
    (tmp_path / "1.xml").write_bytes(text.encode("utf-16"))
    found = read_voc_file(tmp_path / "1.xml")

    assert (found.filename, found.size) == ("kätzchen.jpg", None)
    (one,) = found.objects
    assert (one.name, one.corners, one.difficult) == ("Käse & Brot", (1, 2, 3, 4.5), True)


@pytest.mark.parametrize("encoding", ["gbk", "klingon"])
def test_an_encoding_that_is_not_read_is_named(tmp_path: Path, encoding: str) -> None:
    _xml(tmp_path / "a.xml", CAT, head=f'<?xml version="1.0" encoding="{encoding}"?>')
    with pytest.raises(NotVocError, match=r"is in an encoding that is not read \(.*\): save it as UTF-8"):
        read_voc_file(tmp_path / "a.xml")
