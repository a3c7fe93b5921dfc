"""Defects of a detector's candidates: boxes (1, k, 4) in pixels, scores (1, k) falling, labels (1, k)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.reliability.defects.defect import Defect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.session import Array

__all__ = ["BOXES", "CANDIDATES", "write_candidates"]

CANDIDATES = "candidates.npz"
"""What a sound form gives and what another one does."""

_IMAGE = 64
_STRIDE = 8
_COUNT = 20


def write_candidates(folder: Path) -> None:
    """Candidates of a sound form, as those of two forms that agree."""
    draw = np.random.default_rng(0)
    corners = draw.uniform(0, _IMAGE - 24, (1, _COUNT, 2))
    boxes = np.concatenate([corners, corners + draw.uniform(6, 24, (1, _COUNT, 2))], axis=2)
    scores = -np.sort(-draw.uniform(0.1, 1, (1, _COUNT)), axis=1)
    sound = [boxes, scores, draw.integers(1, 4, (1, _COUNT))]
    _write(folder, sound, sound)


def _write(folder: Path, wanted: list[Array], found: list[Array]) -> None:
    named = {
        f"{form}_{number}": one for form, of in (("wanted", wanted), ("found", found)) for number, one in enumerate(of)
    }
    np.savez(folder / CANDIDATES, **named)  # type: ignore[arg-type] # numpy's own flag is among its keywords


def _boxes(change: Callable[[Array], Array]) -> Callable[[Path], None]:
    return _output(0, change)


def _output(place: int, change: Callable[[Array], Array]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        with np.load(folder / CANDIDATES) as read:
            wanted = [read[f"wanted_{number}"] for number in range(3)]
        found = list(wanted)
        found[place] = change(wanted[place])
        _write(folder, wanted, found)

    return make


def _as_centres(boxes: Array) -> Array:
    low, high = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=-1)


BOXES = (
    Defect("boxes shifted by half a stride", _boxes(lambda boxes: boxes + _STRIDE / 2)),
    Defect("boxes as centre and size in place of corners", _boxes(_as_centres)),
    Defect("boxes as fractions of the image", _boxes(lambda boxes: boxes / _IMAGE)),
    Defect("labels off by one", _output(2, lambda labels: labels + 1)),
)
