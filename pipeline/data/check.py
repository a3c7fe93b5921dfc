"""Decoding every image once, before hours are spent on the others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from pipeline.data.index import FileIndex
from pipeline.environment import usable_cores
from pipeline.errors import DataError
from pipeline.preprocess import load_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.data.dataset import Dataset, Sample
    from pipeline.progress import Progress

__all__ = ["check_images"]

_NAMED = 5
"""So many bad files are named."""


def check_images(dataset: Dataset, progress: Progress, *, cache: Path | None = None) -> None:
    """Decode every image of all splits.

    Args:
        dataset: What to check.
        progress: Shows how far it is.
        cache: Where it is remembered, by content, which images passed; they are not decoded again.

    Raises:
        DataError: naming the first bad files and what is wrong with each.
    """
    by_hash = {sample.sha256: sample for sample in (*dataset.test, *dataset.calibration, *dataset.train)}
    if cache is None:
        _check(list(by_hash.values()), dataset, progress)
        return
    with FileIndex(cache) as index:
        passed = index.decodable(by_hash)
        unknown = [sample for sha256, sample in by_hash.items() if sha256 not in passed]
        _check(unknown, dataset, progress)
        index.remember_decodable(sample.sha256 for sample in unknown)


def _check(samples: Sequence[Sample], dataset: Dataset, progress: Progress) -> None:
    if not samples:
        return
    bad: list[tuple[Sample, str]] = []
    with ThreadPoolExecutor(usable_cores()) as pool, progress.track("checking images", len(samples)) as ticker:
        for sample, problem in zip(samples, pool.map(_problem, samples), strict=True):
            if problem:
                bad.append((sample, problem))
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


def _problem(sample: Sample) -> str | None:
    """What is wrong with the image, None when it decodes."""
    try:
        load_image(str(sample.path))
    except Exception as error:  # noqa: BLE001 - on broken files decoders raise anything, up to struct.error and bombs
        return str(error).replace(str(sample.path), sample.name) or type(error).__name__
    return None
