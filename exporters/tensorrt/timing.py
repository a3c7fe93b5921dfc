"""The timing cache: how long each kernel took, so that the next build need not try it again."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.leftovers import holding, sweep, temporary_beside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.gpu import Gpu

__all__ = ["kept_timings", "timings_path"]


def timings_path(folder: Path, flavour: str, version: str, gpu: Gpu) -> Path:
    """The cache of one version on one GPU: what another one took says nothing."""
    name = re.sub(r"[^a-z0-9.]+", "-", f"{flavour} {version} {gpu.name} {gpu.capability} {gpu.driver}".lower())
    return folder / f"{name}.timing"


@contextmanager
def kept_timings(config: Any, path: Path | None) -> Iterator[None]:  # noqa: ANN401 - bindings have no types
    """Give a builder the timings in ``path`` and write back what it adds; nothing without a path."""
    if path is None:
        yield
        return
    known = path.read_bytes() if path.exists() else b""
    cache = config.create_timing_cache(known)
    config.set_timing_cache(cache, ignore_mismatch=False)
    yield
    _replace(path, bytes(cache.serialize()))


def _replace(path: Path, content: bytes) -> None:
    """In one step: several builds may share the cache, and the last one wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        with temporary.open("xb") as file, holding(temporary):
            file.write(content)
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sweep(path.parent)
