"""torchvision's data sets become folders."""

from __future__ import annotations

import errno
import os
import struct
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets
from PIL import Image

from pipeline.data.open import open_dataset
from pipeline.data.torchvision_sets import TORCHVISION_SETS
from pipeline.errors import DataError


def _write_mnist(cache: Path) -> dict[str, tuple[Any, Any]]:
    """MNIST in its own file format, as downloaded, with few images."""
    rng, folder = np.random.default_rng(0), cache / "downloads" / "MNIST" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    made = {}
    for prefix, count in (("train", 60), ("t10k", 20)):
        pixels = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(
            struct.pack(">IIII", 2051, count, 28, 28) + pixels.tobytes()
        )
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, count) + labels.tobytes())
        made[prefix] = (pixels, labels)
    return made


def test_a_set_that_lies_in_the_cache_is_written_as_class_folders(tmp_path: Path) -> None:
    pixels, labels = _write_mnist(tmp_path)["t10k"]
    dataset = open_dataset("torchvision:MNIST", cache=tmp_path)
    assert dataset.name == "MNIST"
    assert len(dataset.classes) == 10
    assert (len(dataset.train), len(dataset.calibration), len(dataset.test)) == (48, 12, 20)
    for sample in dataset.test:
        number = int(sample.path.stem)
        assert sample.label == labels[number]
        with Image.open(sample.path) as image:
            assert np.array_equal(np.asarray(image)[:, :, 0], pixels[number])


def test_the_name_alone_is_enough_and_the_second_time_nothing_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_mnist(tmp_path)
    first = open_dataset("MNIST", cache=tmp_path)
    monkeypatch.setattr(torchvision.datasets, "MNIST", lambda *_, **__: pytest.fail("opened again"))
    assert open_dataset("torchvision:MNIST", cache=tmp_path) == first


def test_a_damaged_set_is_written_anew_from_what_was_downloaded(tmp_path: Path) -> None:
    _write_mnist(tmp_path)
    first = open_dataset("MNIST", cache=tmp_path)
    moved = first.test[0].path
    moved.rename(moved.with_name("moved.png"))
    first.test[1].path.unlink()
    again = open_dataset("MNIST", cache=tmp_path)
    assert [(one.name, one.sha256) for one in again.test] == [(one.name, one.sha256) for one in first.test]


def test_the_lock_file_of_a_shared_cache_may_be_another_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write_mnist(tmp_path)
    lock = tmp_path / "downloads" / ".MNIST.lock"
    lock.touch()
    really = os.open

    def as_another_user(path: Path | str, flags: int, mode: int = 0o777) -> int:
        if Path(path) == lock and flags & (os.O_RDWR | os.O_WRONLY):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return really(path, flags, mode)

    monkeypatch.setattr(os, "open", as_another_user)
    assert len(open_dataset("MNIST", cache=tmp_path).test) == 20


def test_an_unreachable_server_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        reason = "Name or service not known"
        raise urllib.error.URLError(reason)

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", unreachable)
    with pytest.raises(DataError, match=r"torchvision's CIFAR10 cannot be downloaded") as raised:
        open_dataset("CIFAR10", cache=tmp_path)
    assert "Name or service not known" in str(raised.value)
    assert not list(tmp_path.glob("datasets/*"))


def test_what_a_download_that_was_ended_has_extracted_is_never_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EuroSAT is whole to torchvision where its folder is there; what a person put there serves all the same."""
    kept = tmp_path / "downloads" / "EuroSAT"
    kept.mkdir(parents=True)
    (kept / "EuroSAT.zip").write_bytes(b"of the user's")

    def ended(root: str, **_: object) -> None:
        assert [path.name for path in Path(root).iterdir()] == ["EuroSAT.zip"]
        (Path(root) / "eurosat").mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(torchvision.datasets, "EuroSAT", ended)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            open_dataset("EuroSAT", cache=tmp_path)
    assert [path.name for path in kept.iterdir()] == ["EuroSAT.zip"]
    assert not list(tmp_path.glob("datasets/*"))


def test_what_came_out_of_an_archive_is_extracted_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier run may have been ended on the way; where no archive is, what lies there was put there."""
    kept, seen = tmp_path / "downloads" / "GTSRB", []
    for name in ("gtsrb/GTSRB.zip", "gtsrb/GT-final_test.csv", "gtsrb/GTSRB/Training/00000/half.ppm"):
        (kept / name).parent.mkdir(parents=True, exist_ok=True)
        (kept / name).touch()

    def look(root: str, **_: object) -> None:
        seen.append(sorted(path.relative_to(root).as_posix() for path in Path(root).rglob("*") if path.is_file()))
        raise KeyboardInterrupt

    monkeypatch.setattr(torchvision.datasets, "GTSRB", look)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            open_dataset("GTSRB", cache=tmp_path)
        (kept / "gtsrb" / "GTSRB.zip").unlink(missing_ok=True)

    assert seen == [
        ["gtsrb/GT-final_test.csv", "gtsrb/GTSRB.zip"],
        ["gtsrb/GT-final_test.csv", "gtsrb/GTSRB/Training/00000/half.ppm"],
    ]


def test_what_was_downloaded_stays_where_its_images_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(root: str, **_: object) -> object:
        (Path(root) / "EuroSAT.zip").write_bytes(b"whole")
        return ()  # without the labels that every set has

    monkeypatch.setattr(torchvision.datasets, "EuroSAT", made)
    with pytest.raises(ValueError, match="empty"):
        open_dataset("EuroSAT", cache=tmp_path)
    assert (tmp_path / "downloads" / "EuroSAT" / "EuroSAT.zip").read_bytes() == b"whole"
    assert not list(tmp_path.glob("datasets/*"))


def test_what_was_downloaded_is_kept_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Made:
        targets = tuple(range(3)) * 8

        def __init__(self, root: str, **_: object) -> None:
            (Path(root) / "eurosat").mkdir()

        def __len__(self) -> int:
            return len(self.targets)

        def __getitem__(self, number: int) -> tuple[Image.Image, int]:
            return Image.new("RGB", (4, 4), (number, 0, 0)), self.targets[number]

    monkeypatch.setattr(torchvision.datasets, "EuroSAT", Made)
    assert open_dataset("EuroSAT", cache=tmp_path).classes == ("0", "1", "2")
    assert [path.name for path in (tmp_path / "downloads").iterdir() if path.is_dir()] == ["EuroSAT"]
    assert (tmp_path / "downloads" / "EuroSAT" / "eurosat").is_dir()


def test_every_name_in_the_table_is_torchvisions_and_takes_the_arguments() -> None:
    import inspect

    for name, parts in TORCHVISION_SETS.items():
        parameters = inspect.signature(getattr(torchvision.datasets, name).__init__).parameters
        for arguments in parts.values():
            assert {"root", "download", *arguments} <= set(parameters), name
