"""scikit-learn's 1,797 handwritten digits (UCI, 8x8 pixels, 17 grey levels) as class folders of PNG files.

The PNG files are written here, uncompressed, so that their bytes and thereby every key that depends on them are the
same whatever version of an image library is installed.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.artifact import sha256_of_json
from pipeline.data.dataset import Sample
from pipeline.data.publish import publish_folder
from pipeline.data.split import stratified
from pipeline.errors import ContractError

if TYPE_CHECKING:
    from pipeline.session import Array

__all__ = ["DIGITS_SHA256", "write_digits"]

DIGITS_SHA256 = "86a972a2dbab19b3d517b43b373b98629c672439803c084f9dbd84ab3fdd4876"
"""Hash over the names and contents of all files."""
_TEST, _CALIBRATION = 449, 256
_SPLIT_SEED = 0
"""The split is fixed once and for all: the run's seed does not move it."""


def write_digits(cache: Path) -> Path:
    """The folder with ``train/``, ``calibration/`` and ``test/``; written on the first call, found by later ones.

    Raises:
        ResourceError: when it cannot be written.
        ContractError: when scikit-learn's digits are not the ones known here.
    """
    target = cache / "datasets" / f"digits-{DIGITS_SHA256[:16]}"
    if target.is_dir():
        return target
    files = _files()
    found = sha256_of_json({name: content.hex() for name, content in files.items()})
    if found != DIGITS_SHA256:
        raise ContractError("scikit-learn's digits changed", got=found, expected=DIGITS_SHA256)
    with publish_folder(target) as folder:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return target


def _files() -> dict[str, bytes]:
    """Relative path to content of every file."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    contents, samples = {}, []
    for number, (pixels, label) in enumerate(zip(bunch.images, bunch.target, strict=True)):
        name = f"{number:04}.png"
        contents[name] = _png(pixels)
        path = Path(name)
        samples.append(Sample(path=path, name=name, label=int(label), sha256=sha256_of_json(pixels.tolist())))
    test, rest = stratified(samples, _TEST, seed=_SPLIT_SEED)
    calibration, train = stratified(rest, _CALIBRATION, seed=_SPLIT_SEED)
    splits = {"train": train, "calibration": calibration, "test": test}
    return {
        f"{split}/{sample.label}/{sample.name}": contents[sample.name]
        for split, members in splits.items()
        for sample in sorted(members, key=lambda sample: sample.name)
    }


def _png(pixels: Array) -> bytes:
    """An 8-bit grey PNG of an image (height, width) with values 0 to 16.

    Source: PNG specification, third edition, https://www.w3.org/TR/png-3/.
    """
    height, width = pixels.shape
    rows = b"".join(b"\0" + bytes(round(value * 255 / 16) for value in row) for row in pixels.tolist())
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b""))
    body = (
        struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data)) for tag, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)
