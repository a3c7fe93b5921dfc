"""A network artifact run by PyTorch as it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from exporters.default_sessions import DefaultSession
from pipeline.environment import usable_cores
from pipeline.models.source import ModelSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.session import Array, EngineSpec

__all__ = ["open_pytorch"]


def open_pytorch(folder: Path, spec: EngineSpec) -> DefaultSession:
    """The network itself in inference mode, on all cores."""
    import torch

    from pipeline.models.files import load_network

    options = spec.options
    source = ModelSource(
        origin=options["origin"],
        name=options["name"],
        file=Path(options["file"]) if options["file"] else None,
        file_sha256=options["file_sha256"],
    )

    def load() -> Callable[[Array], tuple[Array, ...]]:
        # Workers start with the helper threads of numeric libraries switched off.
        torch.set_num_threads(options["threads"] or usable_cores())
        network = load_network(folder, source)

        def run(batch: Array) -> tuple[Array, ...]:
            with torch.inference_mode():
                return (network(torch.from_numpy(batch)).numpy(),)

        return run

    return DefaultSession(spec, load, f"torch {torch.__version__}")
