"""What a defect is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Defect"]


@dataclass(frozen=True, slots=True)
class Defect:
    """One thing done wrongly.

    Attributes:
        name: What is wrong.
        make: Changes a folder so that it has it: that of a bundle, which is sealed again afterwards, or one with the
            float graph, ``float.onnx``.
    """

    name: str
    make: Callable[[Path], None]
