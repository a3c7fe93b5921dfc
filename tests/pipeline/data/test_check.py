"""Every image is decoded before anything is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data import check as check_module
from pipeline.data.check import check_images
from pipeline.data.open import open_dataset
from pipeline.errors import DataError
from pipeline.progress import SilentProgress


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "data" / "val" / "cat").mkdir(parents=True)
    for number in range(10):
        pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        suffix = "jpg" if number % 2 else "png"
        Image.fromarray(pixels).save(tmp_path / "data" / "val" / "cat" / f"{number}.{suffix}")
    return tmp_path / "data"


def _check(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    check_images(open_dataset(str(folder), cache=cache), SilentProgress(), cache=cache)


def test_whole_images_pass(folder: Path, tmp_path: Path) -> None:
    _check(folder, tmp_path)


def test_passed_images_are_not_decoded_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _check(folder, tmp_path)
    monkeypatch.setattr(check_module, "load_image", lambda path: pytest.fail(f"{path} was decoded again"))
    _check(folder, tmp_path)


@pytest.mark.parametrize("name", ["0.png", "1.jpg"])
def test_a_truncated_image_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    path = folder / "val" / "cat" / name
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(DataError, match=name) as raised:
        _check(folder, tmp_path)
    assert "truncated" in str(raised.value)


def test_an_empty_file_and_a_text_file_are_both_named(folder: Path, tmp_path: Path) -> None:
    (folder / "val" / "cat" / "2.png").write_bytes(b"")
    (folder / "val" / "cat" / "3.jpg").write_text("no image", encoding="utf-8")
    with pytest.raises(DataError, match="2 of 10 images cannot be decoded") as raised:
        _check(folder, tmp_path)
    assert "val/cat/2.png" in str(raised.value)
    assert "val/cat/3.jpg" in str(raised.value)


def test_without_a_cache_it_checks_all_the_same(folder: Path, tmp_path: Path) -> None:
    path = folder / "val" / "cat" / "1.jpg"
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(DataError, match=r"1\.jpg"):
        check_images(open_dataset(str(folder), cache=tmp_path / "cache"), SilentProgress())
