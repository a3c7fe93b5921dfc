"""The embedded digits."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from pipeline.data.digits import write_digits
from pipeline.data.open import open_dataset
from pipeline.progress import SilentProgress

if TYPE_CHECKING:
    from pipeline.data.dataset import Dataset


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def digits(cache: Path) -> Dataset:
    return open_dataset("digits", cache=cache)


def test_the_split_is_the_documented_one(digits: Dataset) -> None:
    assert (len(digits.train), len(digits.calibration), len(digits.test)) == (1092, 256, 449)
    assert digits.classes == tuple("0123456789")


def test_the_seed_does_not_move_the_split(digits: Dataset, cache: Path) -> None:
    assert open_dataset("digits", cache=cache, seed=7).test == digits.test


def test_every_class_has_its_share_of_every_split(digits: Dataset) -> None:
    for name in ("train", "calibration", "test"):
        split = digits.split(name)
        counts = np.bincount([sample.label for sample in split], minlength=10)
        assert counts.max() - counts.min() <= 0.07 * len(split) / 10 + 2


def test_the_files_hold_scikit_learns_pixels_and_labels(digits: Dataset) -> None:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    samples = (*digits.train, *digits.calibration, *digits.test)
    assert sorted(int(sample.path.stem) for sample in samples) == list(range(1797))
    for sample in samples[::97]:
        number = int(sample.path.stem)
        with Image.open(sample.path) as image:
            assert image.mode == "L"
            assert np.array_equal(np.asarray(image), np.rint(bunch.images[number] * 255 / 16))
        assert sample.label == bunch.target[number]


def test_no_image_is_in_two_splits(digits: Dataset) -> None:
    hashes = [{sample.sha256 for sample in digits.split(name)} for name in ("train", "calibration", "test")]
    assert not hashes[0] & hashes[1]
    assert not hashes[0] & hashes[2]
    assert not hashes[1] & hashes[2]


def test_runs_at_the_same_time_write_it_once_and_leave_nothing_else(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        targets = set(pool.map(write_digits, [tmp_path] * 3, [SilentProgress()] * 3))
    assert len(targets) == 1
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == [next(iter(targets)).name]
    assert len(list(next(iter(targets)).rglob("*.png"))) == 1797


def test_opening_it_again_needs_neither_scikit_learn_nor_torch(digits: Dataset, cache: Path) -> None:
    code = (
        "import sys, pathlib; from pipeline.data.open import open_dataset; "
        f"d = open_dataset('digits', cache=pathlib.Path({str(cache)!r})); "
        "print(len(d.test), [m for m in ('sklearn', 'torch', 'torchvision') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "449 []"
