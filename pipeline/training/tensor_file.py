"""Named tensors and a few texts in one safetensors file, which a reader meets whole or not at all.

Among the texts is a SHA-256 over all others and the tensors: a disk that gives other bits back than it got is noticed.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from pipeline.leftovers import folder_beside, sweep

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

__all__ = ["read_tensors", "write_tensors"]

_SEAL = "sha256"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> None:
    """Replace ``path``, once all of it is on the disk; its folder has to be there."""
    from safetensors.torch import save_file

    laid_out = {name: tensor.contiguous() for name, tensor in tensors.items()}
    # In a folder: safetensors writes under a name of its own, which must not stay when it is killed.
    with folder_beside(path) as work:
        file = work / path.name
        save_file(laid_out, file, metadata={**texts, _SEAL: _sha256_of(laid_out, texts)})
        with file.open("rb") as written:
            os.fsync(written.fileno())  # or after a power cut the name may stand for an empty file
        file.replace(path)
    sweep(path.parent)


def read_tensors(path: Path, *, sealed: bool = True) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors, on the CPU, and the texts.

    Args:
        path: Of the file.
        sealed: Whether it has to hold the hash of its content; where it does, that is compared in any case.

    Raises:
        SafetensorError: when it is no such file.
        ValueError: when its content is not what was written.
        OSError: when it cannot be read.
    """
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        texts = dict(file.metadata() or {})
    seal = texts.pop(_SEAL, None)
    if seal != _sha256_of(tensors, texts) and (sealed or seal is not None):
        message = "its bytes are not those that were written"
        raise ValueError(message)
    return tensors, texts


def _sha256_of(tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> str:
    """Of every name, type, shape and byte."""
    import torch

    digest = hashlib.sha256()
    for name, text in sorted(texts.items()):
        digest.update(f"{name!r} {text!r}\n".encode("utf-8", "surrogatepass"))
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name!r} {tensor.dtype} {tuple(tensor.shape)}\n".encode("utf-8", "surrogatepass"))
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
