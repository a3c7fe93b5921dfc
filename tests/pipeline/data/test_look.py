"""Copies are found by what they look like, and different images are not taken for copies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.dataset import Sample
from pipeline.data.look import LOOK_BYTES, copies, look_of
from pipeline.image_input import load_image


def _picture(seed: int, side: int = 96) -> Image.Image:
    """A smooth picture of its own."""
    values = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((side, side), Image.Resampling.BICUBIC)


def _samples(part: str, count: int) -> list[Sample]:
    names = [f"{part}/{number}" for number in range(count)]
    return [Sample(path=Path(name), name=name, label=0, sha256=name) for name in names]


def test_different_pictures_are_not_copies_of_each_other() -> None:
    test, train = _samples("test", 40), _samples("train", 200)
    looks = {sample.name: look_of(_picture(number)) for number, sample in enumerate((*test, *train))}
    assert copies(test, train, looks) == []


@pytest.mark.parametrize(
    ("suffix", "options", "side"),
    [(".jpg", {"quality": 30}, 96), (".webp", {"quality": 50}, 96), (".png", {}, 48), (".jpg", {"quality": 75}, 64)],
)
def test_each_copy_is_found_with_its_original(tmp_path: Path, suffix: str, options: dict[str, int], side: int) -> None:
    test, train = _samples("test", 30), _samples("train", 30)
    looks = {}
    for number, (original, copy) in enumerate(zip(test, reversed(train), strict=True)):
        looks[original.name] = look_of(_picture(number))
        _picture(number).resize((side, side)).save(tmp_path / f"x{suffix}", **options)
        looks[copy.name] = look_of(load_image(str(tmp_path / f"x{suffix}")))
    assert copies(test, train, looks) == list(zip(reversed(test), train, strict=True))


def test_another_colour_is_another_picture() -> None:
    picture = np.asarray(_picture(1).convert("L"))
    gray = Image.fromarray(np.stack([picture] * 3, axis=-1))
    tinted = Image.merge("YCbCr", [Image.fromarray(picture), *(Image.new("L", gray.size, 110) for _ in range(2))])
    (test,), (train,) = _samples("test", 1), _samples("train", 1)
    assert copies([test], [train], {"test/0": look_of(gray), "train/0": look_of(tinted.convert("RGB"))}) == []


def test_plain_images_are_passed_over() -> None:
    (test,), (train,) = _samples("test", 1), _samples("train", 1)
    plain = look_of(Image.new("RGB", (8, 8), (90, 120, 30)))
    assert len(plain) == LOOK_BYTES
    assert copies([test], [train], {"test/0": plain, "train/0": plain}) == []
