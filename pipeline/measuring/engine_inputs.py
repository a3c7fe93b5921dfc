"""An engine with real inputs, ready to be timed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.engine import Engine, write_inputs
from pipeline.catalog import OPENERS
from pipeline.data.dataset import read_images

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.data import Sample
    from pipeline.preprocess import PreprocessSpec
    from pipeline.session import EngineSpec

__all__ = ["engine_on_images"]


def engine_on_images(
    folder: Path, spec: EngineSpec, samples: Iterable[Sample], preprocess: PreprocessSpec, inputs: Path
) -> Engine:
    """The engine in ``folder`` with the prepared samples, which are written to ``inputs``."""
    write_inputs(inputs, read_images(samples, preprocess, spec.input.dtype), spec)
    return Engine(folder=folder, spec=spec, opener=OPENERS[spec.target], inputs=inputs)
