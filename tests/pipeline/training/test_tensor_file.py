"""A file of tensors is there whole or not at all, also after a power cut."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

from pipeline.training.tensor_file import read_tensors, write_tensors

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_content_is_on_the_disk_before_the_name_stands_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "a.safetensors", list[tuple[int, bool]]()
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append((os.fstat(handle).st_ino, path.exists())))
    write_tensors(path, {"one": torch.arange(3)}, {"said": "so"})
    assert synced == [(path.stat().st_ino, False)]
    tensors, texts = read_tensors(path)
    assert torch.equal(tensors["one"], torch.arange(3))
    assert texts == {"said": "so"}
    assert list(tmp_path.iterdir()) == [path]
