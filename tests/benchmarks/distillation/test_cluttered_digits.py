"""The data set of cluttered digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from benchmarks.distillation.cluttered_digits import write_cluttered_digits

if TYPE_CHECKING:
    from pathlib import Path


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


def test_the_same_seed_writes_the_same_images(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        write_cluttered_digits(tmp_path / name, train=30, val=20, seed=seed)
    assert _files(tmp_path / "one") == _files(tmp_path / "same") != _files(tmp_path / "other")


def test_images_are_as_many_as_asked_for_in_colour_and_differ(tmp_path: Path) -> None:
    write_cluttered_digits(tmp_path, train=40, val=20)
    files = _files(tmp_path)
    assert sum(name.startswith("train/") for name in files) == 40
    assert sum(name.startswith("val/") for name in files) == 20
    assert len(set(files.values())) == len(files)
    shapes = {np.asarray(Image.open(path)).shape for path in tmp_path.rglob("*.png")}
    assert shapes == {(32, 32, 3)}
