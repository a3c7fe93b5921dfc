"""The network of a deployment, opened in PyTorch by its file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.artifact import sha256_of_file
from pipeline.errors import UsageError
from pipeline.models.build import build_network
from pipeline.models.one_file import NETWORK_FILE, architecture_in
from pipeline.models.resolve import resolve_model
from pipeline.models.source import WeightsSource
from pipeline.models.weights import load_weights

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

__all__ = ["open_network"]

_PREFIXES = {"torchvision": "", "timm": "timm/", "yolo": "yolo/"}
"""Origin to what stands before a builder's name where it is typed."""


def open_network(file: Path, model: str | None = None) -> nn.Module:
    """The network of a file, in evaluation mode, on the CPU.

    Args:
        file: Of a deployment's folder.
        model: ``path/to/file.py:factory`` of a network of one's own; None: the file names its builder.

    Raises:
        UsageError: for a network of one's own whose builder is not named, and a file without a network.
        WeightsError: for a file that is damaged, or of another network.
    """
    document = architecture_in(file)
    if document is None:
        raise UsageError(
            "this file does not say which network it is of",
            where=str(file),
            expected=f"{NETWORK_FILE} of a deployment's folder",
        )
    builder = document["builder"]
    if model is None and builder["origin"] not in _PREFIXES:
        raise UsageError(
            "the network is one of somebody's own",
            where=str(file),
            got=builder["name"],
            fix=f"say where its factory is: path/to/file.py:{builder['name']}",
        )
    source = resolve_model(model or _PREFIXES[builder["origin"]] + builder["name"])
    said = {name: builder[name] for name in ("output", "one_number", "wide_tail") if name in builder}
    columns = builder.get("columns")
    source = replace(source, **said, columns=None if columns is None else tuple(columns))
    network = build_network(source, classes=document["classes"])
    load_weights(network, WeightsSource(origin="file", file=file, file_sha256=sha256_of_file(file)))
    return network.eval()
