"""Named tensors and a few texts in one safetensors file, which a reader meets whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

__all__ = ["read_tensors", "write_tensors"]


def write_tensors(path: Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> None:
    """Replace ``path``, once all of it is on the disk; its folder has to be there."""
    from safetensors.torch import save_file

    work = path.with_name(f".{path.name}.tmp")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, work, metadata=dict(texts))
    with work.open("rb") as written:
        os.fsync(written.fileno())  # or after a power cut the name may stand for an empty file
    work.replace(path)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors, on the CPU, and the texts.

    Raises:
        SafetensorError: when it is no such file.
        OSError: when it cannot be read.
    """
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118 - no mapping
