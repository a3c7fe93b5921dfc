"""scikit-learn's 1,797 handwritten digits (UCI, 8x8 pixels, 17 grey levels) as class folders of PNG files.

The PNG files are written here, uncompressed, so that their bytes and thereby every key that depends on them are the
same whatever version of an image library is installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.artifact import sha256_of_json
from pipeline.data.dataset import Sample
from pipeline.data.png import grey_png
from pipeline.data.sealed_folder import is_as_written, publish_sealed
from pipeline.data.split import stratified
from pipeline.errors import ContractError

if TYPE_CHECKING:
    from pipeline.progress import Progress
    from pipeline.session import Array

__all__ = ["DIGITS_SHA256", "split_digits", "write_digits"]

DIGITS_SHA256 = "86a972a2dbab19b3d517b43b373b98629c672439803c084f9dbd84ab3fdd4876"
"""Hash over the names and contents of all files."""
_TEST, _CALIBRATION = 449, 256
_SPLIT_SEED = 0
"""The split is fixed once and for all: the run's seed does not move it."""


def write_digits(cache: Path, progress: Progress) -> Path:
    """The folder with ``train/``, ``calibration/`` and ``test/``; written on the first call, found by later ones.

    One that is not what was written is told, and written anew.

    Raises:
        ResourceError: when it cannot be written.
        ContractError: when scikit-learn's digits are not the ones known here.
    """
    target = cache / "datasets" / f"digits-{DIGITS_SHA256[:16]}"
    if is_as_written(target, cache, progress):
        return target
    files = _files()
    found = sha256_of_json({name: content.hex() for name, content in files.items()})
    if found != DIGITS_SHA256:
        raise ContractError("scikit-learn's digits changed", got=found, expected=DIGITS_SHA256)
    with publish_sealed(target, cache) as folder:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return target


def split_digits() -> dict[str, list[tuple[Array, int]]]:
    """Split name to its digits: pixels (8, 8) with values 0 to 16, and what the digit is."""
    return {split: [(pixels, label) for _, pixels, label in members] for split, members in _named_digits().items()}


def _named_digits() -> dict[str, list[tuple[str, Array, int]]]:
    """Split name to file name, pixels and label of each digit, in the order of their names."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = {f"{number:04}.png": pixels for number, pixels in enumerate(bunch.images)}
    samples = [
        Sample(path=Path(name), name=name, label=int(label), sha256=sha256_of_json(pixels.tolist()))
        for (name, pixels), label in zip(images.items(), bunch.target, strict=True)
    ]
    test, rest = stratified(samples, _TEST, seed=_SPLIT_SEED)
    calibration, train = stratified(rest, _CALIBRATION, seed=_SPLIT_SEED)
    splits = {"train": train, "calibration": calibration, "test": test}
    return {
        split: [
            (sample.name, images[sample.name], sample.classes[0])
            for sample in sorted(members, key=lambda one: one.name)
        ]
        for split, members in splits.items()
    }


def _files() -> dict[str, bytes]:
    """Relative path to content of every file."""
    return {
        f"{split}/{label}/{name}": grey_png(np.rint(pixels * (255 / 16)).astype(np.uint8))
        for split, members in _named_digits().items()
        for name, pixels, label in members
    }
