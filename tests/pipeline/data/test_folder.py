"""Image folders of every layout, and what is wrong with the others."""

from __future__ import annotations

import os
import shutil
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.dataset import Dataset, Sample
from pipeline.data.open import open_dataset
from pipeline.data.scan import images_below
from pipeline.errors import DataError
from pipeline.progress import SilentProgress

Opener = Callable[..., Dataset]


class _Notes:
    """A progress that keeps what is noted."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.track = SilentProgress().track

    def note(self, text: str) -> None:
        self.lines.append(text)


def _fill(folder: Path, count: int, *, start: int = 0) -> None:
    """Write ``count`` images of different content."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        key = zlib.crc32(f"{folder}/{start + number}".encode())
        pixels = np.random.default_rng(key).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{start + number:03}.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "animals"


@pytest.fixture
def opened(tmp_path: Path, root: Path) -> Opener:
    def open_root(**options: Path | int | _Notes) -> Dataset:
        return open_dataset(str(root), cache=tmp_path / "cache", **options)

    return open_root


def _labels(samples: Iterable[Sample]) -> Counter[int]:
    return Counter(sample.label for sample in samples)


def _names(samples: Iterable[Sample]) -> set[str]:
    return {sample.name for sample in samples}


def test_train_and_val_calibrate_on_a_part_of_train(root: Path, opened: Opener) -> None:
    for name, count in (("cat", 30), ("dog", 20)):
        _fill(root / "train" / name, count)
        _fill(root / "val" / name, 5)
    dataset = opened()
    assert dataset.name == "animals"
    assert dataset.classes == ("cat", "dog")
    assert _names(dataset.test) == {f"val/{name}/{number:03}.png" for name in ("cat", "dog") for number in range(5)}
    assert _labels(dataset.calibration) == {0: 6, 1: 4}
    assert _labels(dataset.train) == {0: 24, 1: 16}
    assert not _names(dataset.train) & _names(dataset.calibration)


def test_val_alone_gives_a_fifth_to_calibration_and_nothing_to_train(root: Path, opened: Opener) -> None:
    _fill(root / "val" / "cat", 20)
    _fill(root / "val" / "dog", 10)
    dataset = opened()
    assert _labels(dataset.calibration) == {0: 4, 1: 2}
    assert len(dataset.test) == 24
    assert dataset.train == ()


def test_class_folders_alone_are_split_70_10_20_by_class(root: Path, opened: Opener) -> None:
    _fill(root / "cat", 60)
    _fill(root / "dog", 40)
    dataset = opened()
    assert (_labels(dataset.train), _labels(dataset.calibration), _labels(dataset.test)) == (
        {0: 42, 1: 28},
        {0: 6, 1: 4},
        {0: 12, 1: 8},
    )


def test_train_alone_is_split_like_class_folders(root: Path, opened: Opener) -> None:
    _fill(root / "train" / "cat", 50)
    _fill(root / "train" / "dog", 50)
    assert [len(opened().split(name)) for name in ("train", "calibration", "test")] == [70, 10, 20]


def test_with_val_and_test_test_is_scored_and_val_calibrates(root: Path, opened: Opener) -> None:
    for part, count in (("train", 10), ("val", 6), ("test", 4)):
        _fill(root / part / "cat", count)
    dataset = opened()
    assert {sample.name.split("/")[0] for sample in dataset.calibration} == {"val"}
    assert [len(dataset.split(name)) for name in ("train", "calibration", "test")] == [10, 6, 4]


def test_calibration_images_bounds_the_calibration_split(root: Path, opened: Opener) -> None:
    _fill(root / "train" / "cat", 50)
    _fill(root / "val" / "cat", 5)
    dataset = opened(calibration_images=3)
    assert (len(dataset.calibration), len(dataset.train)) == (3, 47)


def test_test_images_bounds_the_test_split_class_by_class_and_changes_no_other(root: Path, opened: Opener) -> None:
    for part, count in (("train", 10), ("val", 6), ("test", 4)):
        _fill(root / part / "cat", count)
        _fill(root / part / "dog", count)
    whole, few = opened(), opened(test_images=4)

    assert [sample.label for sample in few.test] == [0, 0, 1, 1]
    assert set(_names(few.test)) < set(_names(whole.test))
    assert (few.train, few.calibration) == (whole.train, whole.calibration)
    assert opened(test_images=100) == whole


def test_the_same_seed_gives_the_same_split_and_another_seed_another(root: Path, opened: Opener) -> None:
    _fill(root / "cat", 60)
    assert opened(seed=1) == opened(seed=1)
    assert _names(opened(seed=1).test) != _names(opened(seed=2).test)


def test_a_moved_data_set_is_the_same_data_set(root: Path, opened: Opener, tmp_path: Path) -> None:
    _fill(root / "cat", 20)
    before = opened()
    moved = root.rename(tmp_path / "elsewhere")
    assert open_dataset(str(moved), cache=tmp_path / "cache") == before


def test_classes_txt_fixes_the_order_and_a_missing_or_empty_class_shifts_no_other(root: Path, opened: Opener) -> None:
    _fill(root / "val" / "cat", 10)
    _fill(root / "val" / "dog", 10)
    (root / "val" / "emu").mkdir()
    (root / "classes.txt").write_text("emu\ndog\n\nbee\ncat\n", encoding="utf-8")
    dataset = opened()
    assert dataset.classes == ("emu", "dog", "bee", "cat")
    assert {sample.label for sample in dataset.test if "/cat/" in sample.name} == {3}
    assert {sample.label for sample in dataset.test if "/dog/" in sample.name} == {1}


def test_a_folder_that_classes_txt_does_not_name_is_an_error(root: Path, opened: Opener) -> None:
    _fill(root / "val" / "kat", 10)
    (root / "classes.txt").write_text("cat\ndog\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"does not name class 'kat'") as raised:
        opened()
    assert "did you mean 'cat'?" in str(raised.value)


def test_a_class_twice_in_classes_txt_is_an_error(root: Path, opened: Opener) -> None:
    _fill(root / "val" / "cat", 10)
    (root / "classes.txt").write_text("cat\ncat\n", encoding="utf-8")
    with pytest.raises(DataError, match="'cat' stands there twice"):
        opened()


def test_a_class_in_val_that_train_lacks_is_an_error(root: Path, opened: Opener) -> None:
    _fill(root / "train" / "cat", 10)
    _fill(root / "val" / "cats", 5)
    with pytest.raises(DataError, match=r"class 'cats' is in val/, but train/ has no image of it") as raised:
        opened()
    assert "did you mean 'cat'?" in str(raised.value)


def test_an_empty_class_folder_in_train_counts_as_lacking_the_class(root: Path, opened: Opener) -> None:
    _fill(root / "train" / "cat", 10)
    (root / "train" / "dog").mkdir()
    _fill(root / "val" / "dog", 5)
    with pytest.raises(DataError, match="class 'dog' is in val/"):
        opened()


def test_an_image_of_train_that_is_also_in_val_leaves_train_with_a_note(root: Path, opened: Opener) -> None:
    _fill(root / "train" / "cat", 20)
    _fill(root / "val" / "cat", 5)
    copy = root / "train" / "cat" / "copy.png"
    copy.write_bytes((root / "val" / "cat" / "000.png").read_bytes())
    notes = _Notes()
    dataset = opened(progress=notes)
    assert len(dataset.test) == 5
    assert "train/cat/copy.png" not in _names((*dataset.train, *dataset.calibration))
    assert any("also in test by content" in line and "copy.png" in line for line in notes.lines)


def test_copies_within_class_folders_never_stand_in_two_splits(root: Path, opened: Opener) -> None:
    _fill(root / "cat", 30)
    for path in sorted((root / "cat").iterdir()):
        (path.parent / f"copy-{path.name}").write_bytes(path.read_bytes())
    dataset = opened()
    splits = [{sample.sha256 for sample in dataset.split(name)} for name in ("train", "calibration", "test")]
    assert not splits[0] & splits[1]
    assert not splits[0] & splits[2]
    assert not splits[1] & splits[2]


def test_lists_name_the_calibration_and_the_test_images(root: Path, opened: Opener, tmp_path: Path) -> None:
    _fill(root / "val" / "cat", 10)
    calibration, test = tmp_path / "calibration.txt", tmp_path / "test.txt"
    calibration.write_text("# first three\nval/cat/002.png\nval/cat/000.png\n./val/cat/001.png\n", encoding="utf-8")
    test.write_text("val/cat/008.png\nval/cat/009.png\n", encoding="utf-8")
    dataset = opened(calibration_list=calibration, test_list=test)
    assert [sample.path.stem for sample in dataset.calibration] == ["002", "000", "001"]
    assert [sample.path.stem for sample in dataset.test] == ["008", "009"]


def test_a_calibration_list_alone_leaves_the_rest_of_val_to_the_test(
    root: Path, opened: Opener, tmp_path: Path
) -> None:
    _fill(root / "val" / "cat", 10)
    (tmp_path / "list.txt").write_text("val/cat/003.png\n", encoding="utf-8")
    dataset = opened(calibration_list=tmp_path / "list.txt")
    assert (len(dataset.calibration), len(dataset.test)) == (1, 9)


def test_a_test_list_alone_leaves_the_others_of_val_to_calibrate_on(root: Path, opened: Opener, tmp_path: Path) -> None:
    _fill(root / "val" / "cat", 10)
    (tmp_path / "list.txt").write_text("val/cat/003.png\n", encoding="utf-8")
    dataset = opened(test_list=tmp_path / "list.txt", calibration_images=4)
    assert [sample.path.stem for sample in dataset.test] == ["003"]
    assert len(dataset.calibration) == 4


def test_a_list_with_an_unknown_path_names_it(root: Path, opened: Opener, tmp_path: Path) -> None:
    _fill(root / "val" / "cat", 10)
    (tmp_path / "list.txt").write_text("val/cat/000.png\nval/cat/nope.png\n", encoding="utf-8")
    with pytest.raises(DataError, match="1 of 2 paths are no images") as raised:
        opened(test_list=tmp_path / "list.txt")
    assert "val/cat/nope.png" in str(raised.value)


def test_an_image_on_both_lists_is_an_error(root: Path, opened: Opener, tmp_path: Path) -> None:
    _fill(root / "val" / "cat", 10)
    (tmp_path / "list.txt").write_text("val/cat/000.png\n", encoding="utf-8")
    with pytest.raises(DataError, match="in the test list and in the calibration list"):
        opened(test_list=tmp_path / "list.txt", calibration_list=tmp_path / "list.txt")


def test_hidden_and_other_files_are_no_images_and_suffixes_may_be_capital(root: Path, opened: Opener) -> None:
    _fill(root / "val" / "cat", 10)
    (root / "val" / "cat" / ".hidden.png").write_bytes(b"")
    (root / "val" / "cat" / "Thumbs.db").write_bytes(b"")
    (root / "val" / "cat" / "000.png").rename(root / "val" / "cat" / "000.PNG")
    dataset = opened()
    assert len(dataset.test) + len(dataset.calibration) == 10


def test_class_folders_may_be_links_and_those_that_lead_out_are_told(
    root: Path, opened: Opener, tmp_path: Path
) -> None:
    _fill(tmp_path / "store" / "cat", 10)
    _fill(root / "val" / "dog", 10)
    (root / "val" / "cat").symlink_to(tmp_path / "store" / "cat")
    (root / "val" / "hound").symlink_to("dog")
    notes = _Notes()
    dataset = opened(progress=notes)
    assert dataset.classes == ("cat", "dog", "hound")
    outside = tmp_path / "store" / "cat"
    assert f"a folder is a link out of the data folder, and followed (first: val/cat to {outside})" in notes.lines


def test_a_link_to_a_folder_within_a_class_is_told_since_it_is_not_followed(
    root: Path, opened: Opener, tmp_path: Path
) -> None:
    _fill(tmp_path / "store", 10)
    _fill(root / "val" / "cat", 10)
    (root / "val" / "cat" / "more").symlink_to(tmp_path / "store")
    notes = _Notes()
    dataset = opened(progress=notes)
    assert len(dataset.test) + len(dataset.calibration) == 10
    told = (
        "a folder is a link within a folder of images, and not followed (first: val/cat/more): no image there is used"
    )
    assert told in notes.lines


def test_a_folder_that_cannot_be_read_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match="this folder cannot be read"):  # as root reads all, here it is not there
        images_below(root / "nowhere")


def test_an_image_whose_name_is_no_text_is_refused(root: Path, opened: Opener) -> None:
    _fill(root / "val" / "cat", 10)
    (root / "val" / "cat" / "000.png").rename(Path(os.fsdecode(os.fsencode(root / "val" / "cat") + b"/caf\xe9.png")))
    with pytest.raises(DataError, match="the name of an image is no text in UTF-8") as raised:
        opened()
    assert "'caf\\udce9.png'" in str(raised.value)


def test_a_pipe_among_the_images_is_refused_and_not_waited_for(root: Path, opened: Opener) -> None:
    _fill(root / "val" / "cat", 10)
    os.mkfifo(root / "val" / "cat" / "p.jpg")
    with pytest.raises(DataError, match="not a plain file") as raised:
        opened()
    assert raised.value.where == str(root / "val" / "cat" / "p.jpg")


def test_an_image_of_two_classes_is_told(root: Path, opened: Opener) -> None:
    for name in ("cat", "dog"):
        _fill(root / "train" / name, 10)
        _fill(root / "val" / name, 5)
    shutil.copy(root / "train" / "cat" / "003.png", root / "val" / "dog" / "x.png")
    notes = _Notes()
    opened(progress=notes)
    told = "an image stands under two classes by content (first: train/cat/003.png of 'cat' is val/dog/x.png of 'dog')"
    assert told in notes.lines


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root.mkdir(), "the data folder is empty"),
        (lambda root: _fill(root, 3), "no images in class folders here"),
        (lambda root: (root / "train" / "cat").mkdir(parents=True), "no images in class folders here"),
        (lambda root: (_fill(root / "images", 2), _fill(root / "labels", 2)), "looks like a detection data set"),
        (lambda root: _fill(root / "images", 9), "looks like a detection data set"),
        (lambda root: (_fill(root / "train" / "images", 9), _fill(root / "val" / "cat", 9)), r"got: train/images\n"),
        (lambda root: _fill(root / "set" / "train" / "cat", 9), "unknown layout: set/"),
        (lambda root: _fill(root / "calibration" / "cat", 9), "only calibration/ is here"),
        (lambda root: (_fill(root / "val" / "a", 9), _fill(root / "valid" / "a", 9)), "both val/ and valid/ are here"),
        (lambda root: _fill(root / "cat", 3), "too few images: none left for calibration"),
    ],
)
def test_a_folder_that_is_no_data_set_says_what_it_is(
    root: Path, opened: Opener, make: Callable[[Path], object], message: str
) -> None:
    make(root)
    with pytest.raises(DataError, match=message) as raised:
        opened()
    assert raised.value.where.startswith(str(root))


def test_a_share_of_every_class_is_held_back_for_validation(root: Path, opened: Opener) -> None:
    _fill(root / "train" / "cat", 40)
    _fill(root / "train" / "dog", 20)
    _fill(root / "val" / "cat", 5)
    _fill(root / "val" / "dog", 5)
    without, with_it = opened(), opened(validation=0.25)
    assert without.validation == ()
    assert _labels(with_it.validation) == {0: 8, 1: 4}  # of the 32 and 16 that calibration leaves
    assert _names(with_it.validation).isdisjoint(_names(with_it.train))
    assert _names(with_it.validation) | _names(with_it.train) == _names(without.train)
    assert (with_it.test, with_it.calibration) == (without.test, without.calibration)


def test_at_least_one_image_is_held_back_and_one_trained_on_where_validation_is_asked_for(
    root: Path, opened: Opener
) -> None:
    _fill(root / "train" / "cat", 7)
    _fill(root / "val" / "cat", 5)
    _fill(root / "calibration" / "cat", 5)
    for share, held in ((0.05, 1), (0.99, 6)):
        found = opened(validation=share)
        assert (len(found.validation), len(found.train)) == (held, 7 - held)


def test_of_one_training_image_none_can_be_held_back(root: Path, opened: Opener) -> None:
    _fill(root / "train" / "cat", 1)
    _fill(root / "val" / "cat", 5)
    _fill(root / "calibration" / "cat", 5)
    with pytest.raises(DataError, match="none left to train on"):
        opened(validation=0.5)
