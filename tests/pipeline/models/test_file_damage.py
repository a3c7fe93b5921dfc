"""What torch and safetensors do not look for in a file of weights is found."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
import torch

from pipeline.errors import WeightsError
from pipeline.models.weights import read_state_dict

_ONE = struct.pack("<f", 1.0)
_ENTRY = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'


def _saved(path: Path, *, flipped: bool = False) -> Path:
    torch.save({"a": torch.ones(400), "b": torch.zeros(3)}, path)
    if flipped:
        content = bytearray(path.read_bytes())
        content[content.index(_ONE * 100) + 50] ^= 1
        path.write_bytes(content)
    return path


def test_a_flipped_byte_of_a_tensor_is_noticed(tmp_path: Path) -> None:
    assert bool((read_state_dict(_saved(tmp_path / "a.pt"))["a"] == 1).all())
    with pytest.raises(WeightsError, match="this weights file is damaged") as raised:
        read_state_dict(_saved(tmp_path / "b.pt", flipped=True))
    assert "are not those that were written" in str(raised.value.got)


def test_a_file_that_was_written_without_checksums_is_read(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        path = _saved(tmp_path / "a.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert bool((read_state_dict(path)["a"] == 1).all())


@pytest.mark.parametrize("legacy", [False, True])
def test_what_a_pickle_wants_to_call_is_named_and_torchs_advice_is_not_repeated(
    tmp_path: Path, *, legacy: bool
) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'canary'}",)

    torch.save({"a": Evil()}, tmp_path / "e.pt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match="this file holds more than weights") as raised:
        read_state_dict(tmp_path / "e.pt")
    assert raised.value.got == "it wants to call posix.system"
    assert "weights_only" not in str(raised.value)
    assert not (tmp_path / "canary").exists()


def test_a_doubled_key_in_a_safetensors_header_is_noticed(tmp_path: Path) -> None:
    def written(header: str) -> Path:
        path = tmp_path / "a.safetensors"
        path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + _ONE)
        return path

    assert read_state_dict(written(f'{{"a":{_ENTRY}}}'))["a"].item() == 1
    with pytest.raises(WeightsError, match="damaged") as raised:
        read_state_dict(written(f'{{"a":{_ENTRY},"a":{_ENTRY}}}'))
    assert raised.value.got == "'a' stands in its header twice"
    with pytest.raises(WeightsError, match="damaged") as raised:
        read_state_dict(written("[" * 100_000))
    assert raised.value.got == "nested too deeply"
