"""What is typed after --data."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.data.open import open_dataset, task_of
from pipeline.errors import DataError, UnknownNameError


def test_a_missing_folder_names_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "flowers").mkdir()
    with pytest.raises(DataError, match="there is no such data folder") as raised:
        open_dataset(str(tmp_path / "flower"), cache=tmp_path / "cache")
    assert f"did you mean {tmp_path / 'flowers'}?" in str(raised.value)


def test_a_missing_folder_in_a_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist either"):
        open_dataset(str(tmp_path / "nowhere" / "flowers"), cache=tmp_path / "cache")


def test_a_misspelt_name_names_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="did you mean digits"):
        open_dataset("digit", cache=tmp_path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(b"")
    with pytest.raises(DataError, match="this is a file"):
        open_dataset(str(tmp_path / "image.png"), cache=tmp_path)


def test_an_unknown_torchvision_set_names_the_nearest_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="CIFAR10"):
        open_dataset("torchvision:CIFAR1", cache=tmp_path)


def test_no_calibration_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="calibration needs images"):
        open_dataset("digits", cache=tmp_path, calibration_images=0)


def test_what_data_are_for_is_seen_without_reading_them(tmp_path: Path) -> None:
    (tmp_path / "photos" / "train" / "cat").mkdir(parents=True)
    (tmp_path / "boxes" / "labels").mkdir(parents=True)
    (tmp_path / "boxes" / "labels" / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n", encoding="utf-8")

    kinds = {
        "digits": "classification",
        "digits-detection": "detection",
        "CIFAR10": "classification",
        "torchvision:CIFAR10": "classification",
        str(tmp_path / "photos"): "classification",
        str(tmp_path / "boxes"): "detection",
        str(tmp_path / "nowhere"): None,
    }
    assert {text: task_of(text) for text in kinds} == kinds


def test_a_home_that_nobody_has_is_no_folder(tmp_path: Path) -> None:
    assert task_of("~nobody-of-this-name/photos") is None
    with pytest.raises(DataError, match="there is no such data folder"):
        open_dataset("~nobody-of-this-name/photos", cache=tmp_path)
