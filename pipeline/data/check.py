"""Decoding every image once, before hours are spent on the others; and what is odd about those that decode."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from PIL import Image

from pipeline.data.index import Decoded, FileIndex
from pipeline.data.look import copies, look_of
from pipeline.environment import usable_cores
from pipeline.errors import DataError
from pipeline.image_input import IMAGE_FORMATS, load_image

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pipeline.data.dataset import Dataset, Sample
    from pipeline.progress import Progress

__all__ = ["check_images"]

_NAMED = 5
"""So many bad files are named."""


_ONE_PICTURE = "MPO"
"""A camera's format: a photo, and smaller versions of it behind."""


def check_images(dataset: Dataset, progress: Progress, *, cache: Path | None = None) -> tuple[str, ...]:
    """Decode every image of all splits.

    Args:
        dataset: What to check.
        progress: Shows how far it is.
        cache: Where it is remembered, by content, which images passed; they are not decoded again.

    Returns:
        What a person should know of them, a sentence each: animations, of which one picture is used; training images
        that look like test images, being copies that were encoded again.

    Raises:
        DataError: naming the first bad files and what is wrong with each.
    """
    trained = (*dataset.calibration, *dataset.validation, *dataset.train)
    by_hash = {sample.sha256: sample for sample in (*dataset.test, *trained)}
    if cache is None:
        found = _check(list(by_hash.values()), dataset, progress)
    else:
        with FileIndex(cache) as index:
            found = index.decoded(by_hash)
            new = _check([sample for sha256, sample in by_hash.items() if sha256 not in found], dataset, progress)
            index.remember_decoded(new)
        found |= new
    told = (_told_of_several(by_hash, found), _told_of_copies(dataset.test, trained, found))
    return tuple(sentence for sentence in told if sentence)


def _told_of_several(by_hash: Mapping[str, Sample], found: Mapping[str, Decoded]) -> str | None:
    several = sorted(sample.name for sha256, sample in by_hash.items() if found[sha256].several)
    if not several:
        return None
    if len(several) == 1:
        return f"{several[0]} holds several pictures: only its first is used"
    return f"{len(several)} images hold several pictures each: only the first of each is used (first: {several[0]})"


def _told_of_copies(test: Sequence[Sample], trained: Sequence[Sample], found: Mapping[str, Decoded]) -> str | None:
    pairs = copies(test, trained, {sha256: one.look for sha256, one in found.items()})
    if not pairs:
        return None
    (scored, learned), many = pairs[0], len(pairs)
    named = f"{learned.name} and {scored.name}" if many == 1 else f"first: {learned.name} and {scored.name}"
    who = "an image that is learned from looks" if many == 1 else f"{many} images that are learned from look"
    return f"{who} like an image that is scored, as a copy encoded or resized again does ({named})"


def _check(samples: Sequence[Sample], dataset: Dataset, progress: Progress) -> dict[str, Decoded]:
    """What the images decode to, by hash."""
    if not samples:
        return {}
    bad: list[tuple[Sample, str]] = []
    found: dict[str, Decoded] = {}
    with ThreadPoolExecutor(usable_cores()) as pool, progress.track("checking images", len(samples)) as ticker:
        for sample, outcome in zip(samples, pool.map(_decoded, samples), strict=True):
            if isinstance(outcome, str):
                bad.append((sample, outcome))
            else:
                found[sample.sha256] = outcome
            ticker.advance()
    if bad:
        named = "; ".join(f"{sample.name} ({problem})" for sample, problem in bad[:_NAMED])
        rest = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        raise DataError(
            f"{len(bad)} of {len(samples)} images cannot be decoded" if len(bad) > 1 else "an image cannot be decoded",
            where=dataset.name if len(bad) > 1 else str(bad[0][0].path),
            got=named + rest,
            fix="replace or remove " + ("these files" if len(bad) > 1 else "this file"),
        )
    return found


def _decoded(sample: Sample) -> Decoded | str:
    """What the image decodes to, or what is wrong with it."""
    try:
        look = look_of(load_image(str(sample.path)))
        with Image.open(sample.path, formats=IMAGE_FORMATS) as opened:
            several = opened.format != _ONE_PICTURE and getattr(opened, "is_animated", False)
    except Exception as error:  # noqa: BLE001 - on broken files decoders raise anything, up to struct.error and bombs
        return str(error).replace(str(sample.path), sample.name) or type(error).__name__
    return Decoded(several=several, look=look)
