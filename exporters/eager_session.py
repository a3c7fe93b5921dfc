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
    """The network itself in inference mode, on all cores; of a detector what its engines give, unsuppressed.

    Args:
        folder: Of the network artifact.
        spec: As of :func:`exporters.default_runtimes.of_network`.
    """
    import torch

    from pipeline.models.files import load_network

    options = spec.options
    columns = options.get("columns")
    source = ModelSource(
        origin=options["origin"],
        name=options["name"],
        file=Path(options["file"]) if options["file"] else None,
        file_sha256=options["file_sha256"],
        output=options.get("output"),
        one_number=options.get("one_number"),
        columns=None if columns is None else tuple(columns),
        task=options["task"],
    )

    def load() -> Callable[[Array], tuple[Array, ...]]:
        # Workers start with the helper threads of numeric libraries switched off.
        torch.set_num_threads(options["threads"] or usable_cores())
        network = load_network(folder, source)
        if source.task == "detection":
            from pipeline.tasks.detection.deployable import deployable

            _, channels, height, width = spec.input.shape
            network = deployable(network, (height, width), channels=channels)

        def run(batch: Array) -> tuple[Array, ...]:
            with torch.inference_mode():
                answered = network(torch.tensor(batch))  # a copy: it may normalise what it is given in place
            outputs = answered if isinstance(answered, tuple) else (answered,)
            return tuple(output.numpy() for output in outputs)

        return run

    return DefaultSession(spec, load, f"torch {torch.__version__}")
