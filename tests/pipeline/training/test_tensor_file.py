"""A file of tensors is there whole or not at all, also after a power cut."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from pipeline.leftovers import sweep
from pipeline.training.tensor_file import read_tensors, write_tensors

if TYPE_CHECKING:
    from pathlib import Path


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


def test_while_it_is_written_nobody_sweeps_it_and_of_a_killed_writer_all_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"

    def long_after(handle: int) -> None:
        (work,) = tmp_path.iterdir()  # so that what safetensors itself puts beside the file lies in it
        assert (work / path.name).stat().st_ino == os.fstat(handle).st_ino
        os.utime(work, (1, 1))
        sweep(tmp_path)

    monkeypatch.setattr(os, "fsync", long_after)
    write_tensors(path, {"one": torch.arange(3)}, {})
    assert torch.equal(read_tensors(path)[0]["one"], torch.arange(3))
    assert list(tmp_path.iterdir()) == [path]


def test_a_flipped_bit_anywhere_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"one": torch.arange(3, dtype=torch.bfloat16), "two": torch.tensor(True)}, {"said": "so"})
    content = path.read_bytes()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises((ValueError, SafetensorError)):
            read_tensors(path)


def test_a_file_without_a_hash_is_taken_only_where_that_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"one": torch.arange(3)}, path, metadata={"said": "so"})
    with pytest.raises(ValueError, match="not those that were written"):
        read_tensors(path)
    assert read_tensors(path, sealed=False)[1] == {"said": "so"}
