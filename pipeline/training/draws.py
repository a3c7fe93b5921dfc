"""Random numbers that anybody may draw again at any time: an image and the number of a view decide them, or a step."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["hashed", "seed_step", "uniform"]

_STREAMS = (
    "flip", "down", "right", "library", "kind of mix", "partner", "share", "box down", "box right",
    "mosaic", "crossing down", "crossing right", "companion 1", "companion 2", "companion 3", "part 0", "part 1",
    "part 2", "part 3", "angle", "shear right", "shear down", "scale", "place right", "place down",
    "size", "erase", "erase area", "erase ratio", "erase down", "erase right",
)  # fmt: skip
"""What is drawn: each has numbers of its own."""
_ROOM = 32
"""Streams that there may be at most; fixed, so that a new one leaves the numbers of the others."""
_MASK = (1 << 64) - 1


def uniform(indices: Tensor, view: int, stream: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A number from 0 up to 1 for each image, (batch,)."""
    return (hashed(indices, view, stream) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def hashed(indices: Tensor, view: int, stream: str) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """64 bits for each image, (batch,): SplitMix64 of its index, started at a place of the view's and stream's own."""
    start = (view * _ROOM + 1 + _STREAMS.index(stream)) * 0x9E3779B97F4A7C15 & _MASK
    state = _mixed(_mixed(indices.numpy().astype(np.uint64) + np.uint64(start)))
    return _mixed(state + np.uint64(start))


def seed_step(device: torch.device, *, seed: int, process: int, step: int) -> None:
    """Decide what torch draws within a step of a training, such as dropout, by numbers alone.

    Args:
        device: Where the step is computed; what is drawn on the CPU is decided too.
        seed: Of the training.
        process: Of those that train together, each of which drops something else.
        step: From the beginning of the training, from 0.
    """
    digest = hashlib.blake2b(f"{seed} {process} {step}".encode(), digest_size=8).digest()
    value = int.from_bytes(digest, "little")
    torch.default_generator.manual_seed(value)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(value)


def _mixed(state: np.ndarray[Any, np.dtype[np.uint64]]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """The output function of SplitMix64 (Steele, Lea and Flood, 2014)."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
