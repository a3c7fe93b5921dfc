"""A network as one file for whoever trained it: its tensors, and in the file's header its architecture.

It is what is left of the network once a run is over: distilled, pruned, to be looked at in PyTorch, trained further, or
given to another run as ``--weights``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import IntegrityError, UsageError, WeightsError
from pipeline.models.file_names import ARCHITECTURE, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn

__all__ = ["NETWORK_FILE", "architecture_in", "network_file", "open_network"]

NETWORK_FILE = "network.safetensors"
_KEY = "edgewright.network"
_COUNT = 8
"""Bytes of the number before a header; source: the format's description in safetensors' README."""
_DTYPES = {
    "F32": "float32",
    "F64": "float64",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
}
"""The format's names of what tensors are of, to torch's."""
_PREFIXES = {"torchvision": "", "timm": "timm/", "yolo": "yolo/"}
"""Origin to what stands before a builder's name where it is typed."""


def network_file(folder: Path) -> bytes:
    """The file of a network that lies in ``folder`` as two; equal networks give equal bytes.

    Written without PyTorch, whose import takes seconds: eight bytes say how long the header is, which is JSON filled up
    with spaces to a multiple of eight; where tensors lie is counted from its end.
    """
    weights, architecture = (folder / WEIGHTS).read_bytes(), (folder / ARCHITECTURE).read_text(encoding="utf-8")
    end = _COUNT + int.from_bytes(weights[:_COUNT], "little")
    told = {"__metadata__": {_KEY: architecture}, **json.loads(weights[_COUNT:end])}
    header = json.dumps(told, separators=(",", ":")).encode()
    header += b" " * (-len(header) % _COUNT)
    return len(header).to_bytes(_COUNT, "little") + header + weights[end:]


def architecture_in(file: Path) -> Mapping[str, Any] | None:
    """What the file says of its network; None of a file that is not of ours.

    Raises:
        IntegrityError: when what it says is no architecture, or not of its tensors.
        WeightsError: when it cannot be read.
    """
    import safetensors

    from pipeline.models.architecture import as_architecture

    if file.suffix != ".safetensors":
        return None
    try:
        with safetensors.safe_open(file, "pt") as opened:
            told = (opened.metadata() or {}).get(_KEY)
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
            there = {name: (one.get_shape(), _DTYPES.get(one.get_dtype())) for name, one in slices.items()}
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsError("this safetensors file is damaged", where=str(file), got=str(error)) from error
    if told is None:
        return None
    document = as_architecture(told, str(file))
    if there != {name: (tensor["shape"], tensor["dtype"]) for name, tensor in document["tensors"].items()}:
        raise IntegrityError("the file's tensors are not those of its architecture", where=str(file))
    return document


def open_network(file: Path, model: str | None = None) -> nn.Module:
    """The network of a file, in evaluation mode, on the CPU.

    Args:
        file: Of a deployment's folder.
        model: ``path/to/file.py:factory`` of a network of one's own; None: the file names its builder.

    Raises:
        UsageError: for a network of one's own whose builder is not named, and a file without a network.
        WeightsError: for a file that is damaged, or of another network.
    """
    from pipeline.artifact import sha256_of_file
    from pipeline.models.build import build_network
    from pipeline.models.resolve import resolve_model
    from pipeline.models.source import WeightsSource
    from pipeline.models.weights import load_weights

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
