"""What is measured: an engine, how it is opened, and the inputs it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.artifact import Json
    from pipeline.session import Array, EngineSpec

__all__ = ["Engine", "write_inputs"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """An engine with its inputs, as a worker process is told of it.

    Attributes:
        folder: Where its files lie.
        spec: How to open it.
        opener: ``module:function`` of the target's opener.
        inputs: Raw values of at least one input, one after the other, as ``spec.input`` wants them.
    """

    folder: Path
    spec: EngineSpec
    opener: str
    inputs: Path

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return {
            "folder": str(self.folder),
            "spec": self.spec.to_json(),
            "opener": self.opener,
            "inputs": str(self.inputs),
        }


def write_inputs(path: Path, images: Iterable[Array], spec: EngineSpec) -> None:
    """Write prepared images (1, 3, height, width), one after the other, in the type the engine takes."""
    with path.open("wb") as file:
        for image in images:
            file.write(np.ascontiguousarray(image, dtype=spec.input.dtype).tobytes())
