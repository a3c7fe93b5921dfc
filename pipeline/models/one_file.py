"""A network as one file for whoever trained it: its tensors, and in the file's header its architecture.

It is what is left of the network once a run is over: distilled, pruned, to be looked at in PyTorch, trained further, or
given to another run as ``--weights``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pipeline.errors import IntegrityError, WeightsError
from pipeline.models.file_names import ARCHITECTURE, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["NETWORK_FILE", "architecture_in", "network_file"]

NETWORK_FILE = "network.safetensors"
_KEY = "edgewright-network"
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
        raise WeightsError(
            "this safetensors file is damaged", where=str(file), got=str(error), fix="copy it again"
        ) from error
    if told is None:
        return None
    document = as_architecture(told, str(file))
    if there != {name: (tensor["shape"], tensor["dtype"]) for name, tensor in document["tensors"].items()}:
        raise IntegrityError(
            "the file's tensors are not those of its architecture", where=str(file), fix="copy it again"
        )
    return document
