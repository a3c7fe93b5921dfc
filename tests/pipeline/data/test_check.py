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


def _told(folder: Path, tmp_path: Path) -> tuple[str, ...]:
    cache = tmp_path / "cache"
    return check_images(open_dataset(str(folder), cache=cache), SilentProgress(), cache=cache)


def test_animations_are_told_each_time_and_photos_of_a_camera_are_none(folder: Path, tmp_path: Path) -> None:
    first, second = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    first.save(folder / "val" / "cat" / "a.gif", save_all=True, append_images=[second])
    first.save(folder / "val" / "cat" / "b.jpg", format="MPO", save_all=True, append_images=[second])
    for _ in range(2):  # decoded, then from the index
        assert _told(folder, tmp_path) == ("val/cat/a.gif holds several pictures: only its first is used",)
    pages = [Image.new("RGB", (8, 8), (0, 255, blue)) for blue in (0, 255)]
    pages[0].save(folder / "val" / "cat" / "c.tif", save_all=True, append_images=pages[1:])
    told = "2 images hold several pictures each: only the first of each is used (first: val/cat/a.gif)"
    assert _told(folder, tmp_path) == (told,)


def test_a_copy_of_a_test_image_that_was_encoded_again_is_told(folder: Path, tmp_path: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(5).integers(0, 256, (7, 7, 3), dtype=np.uint8)).resize((90, 70))
    (folder / "train" / "cat").mkdir(parents=True)
    for number in range(12):
        pixels = np.random.default_rng(100 + number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "train" / "cat" / f"{number}.png")
    picture.save(folder / "val" / "cat" / "scored.png")
    assert _told(folder, tmp_path) == ()
    picture.save(folder / "train" / "cat" / "copy.jpg", quality=60)
    (told,) = _told(folder, tmp_path)
    assert told.startswith("an image that is learned from looks like an image that is scored")
    assert told.endswith("(train/cat/copy.jpg and val/cat/scored.png)")


def test_floats_and_too_many_pixels_are_refused_with_what_to_do(folder: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.float32)).save(folder / "val" / "cat" / "f.tif")
    Image.new("L", (10_001, 10_000)).save(folder / "val" / "cat" / "g.png")
    with (
        pytest.warns(Image.DecompressionBombWarning),
        pytest.raises(DataError, match="2 of 12 images cannot be decoded") as raised,
    ):
        _check(folder, tmp_path)
    assert "f.tif (floating-point pixels have no known range: save it with 8 or 16 bit)" in str(raised.value)
    assert "g.png (10001x10000 is more than 89478485 pixels: make it smaller)" in str(raised.value)
