"""``python -m benchmarks.distillation.cluttered_digits FOLDER``: a job with room for teachers, from embedded images.

Handwritten digits, turned, tinted and noisy, among torn pieces of other digits, at 32 pixels. Digits of the test images
are in no training image, as pieces neither. The same seed gives the same files.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["main", "write_cluttered_digits"]

_PIXELS = 32
_SIZES = (14, 22)
_PIECES = 6


def main(arguments: list[str] | None = None) -> int:
    """Write ``FOLDER/train`` and ``FOLDER/val``; exit code 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distillation.cluttered_digits", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=3000, help="training images (default 3000)")
    parser.add_argument("--val", type=int, default=2000, help="test images (default 2000)")
    options = parser.parse_args(arguments)
    write_cluttered_digits(options.folder, train=options.train, val=options.val)
    return 0


def write_cluttered_digits(folder: Path, *, train: int, val: int, seed: int = 0) -> None:
    """Write so many images of either split below ``folder/<split>/<digit>/``, as PNG."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    known, unseen = train_test_split(
        np.arange(len(digits.images)), test_size=0.25, random_state=seed, stratify=digits.target
    )
    chance = np.random.default_rng(seed)
    for split, pool, images in (("train", known, train), ("val", unseen, val)):
        strokes = digits.images[pool] / digits.images.max()
        for number in range(images):
            place = number % len(pool)
            home = folder / split / str(digits.target[pool[place]])
            home.mkdir(parents=True, exist_ok=True)
            _cluttered(strokes, place, chance).save(home / f"{number:05}.png")


def _cluttered(strokes: np.ndarray, place: int, chance: np.random.Generator) -> Image.Image:
    ink = np.zeros((_PIXELS, _PIXELS))
    for other in chance.integers(0, len(strokes), _PIECES):
        whole = _turned(strokes[other], 40, chance)
        half = len(whole) // 2
        top, left = chance.integers(0, half + 1, 2)
        _put(ink, whole[top : top + half, left : left + half] * chance.uniform(0.5, 1), chance.integers(-4, 30, 2))
    digit = _turned(strokes[place], 25, chance)
    _put(ink, digit * chance.uniform(0.6, 1), chance.integers(0, _PIXELS - len(digit) + 1, 2))
    paper, tint = chance.uniform(0, 90, 3), chance.uniform(0.4, 1, 3)
    pixels = paper + ink[:, :, None] * tint * (255 - paper) + chance.normal(0, 18, (_PIXELS, _PIXELS, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _turned(stroke: np.ndarray, degrees: float, chance: np.random.Generator) -> np.ndarray:
    """A digit of any of the sizes, turned by up to so many degrees either way; 0 to 1, (size, size)."""
    size = int(chance.integers(*_SIZES))
    image = Image.fromarray((255 * stroke).astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image.rotate(chance.uniform(-degrees, degrees), Image.Resampling.BICUBIC)) / 255


def _put(ink: np.ndarray, piece: np.ndarray, corner: np.ndarray) -> None:
    """Where the piece is darker it covers what is there; what lies outside is cut off."""
    (top, left), (height, width) = corner, piece.shape
    rows, columns = slice(max(top, 0), min(top + height, _PIXELS)), slice(max(left, 0), min(left + width, _PIXELS))
    seen = piece[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    ink[rows, columns] = np.maximum(ink[rows, columns], seen)


if __name__ == "__main__":
    sys.exit(main())
