"""What a cell made arrives as it was, all of it or nothing."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from pipeline.errors import IntegrityError, ResourceError
from pipeline.fleet.parcel import packed, unpack


def test_a_folder_arrives_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "made" / "bundle").mkdir(parents=True)
    (tmp_path / "made" / "bundle" / "model.onnx").write_bytes(b"\0\1")
    (tmp_path / "made" / "report.json").write_text("{}", encoding="utf-8")

    unpack(packed(tmp_path / "made"), tmp_path / "out" / "a" / "b")

    assert packed(tmp_path / "out" / "a" / "b") == {"bundle/model.onnx": b"\0\1", "report.json": b"{}"}


def test_what_stood_there_before_goes(tmp_path: Path) -> None:
    unpack({"old.txt": b"old", "both.txt": b"old"}, tmp_path / "cell")
    unpack({"both.txt": b"new"}, tmp_path / "cell")

    assert packed(tmp_path) == {"cell/both.txt": b"new"}


def test_a_link_stays_one_and_leads_to_the_new_files(tmp_path: Path) -> None:
    (tmp_path / "disk" / "cell").mkdir(parents=True)
    (tmp_path / "cell").symlink_to(tmp_path / "disk" / "cell")
    for content in (b"old", b"new"):
        unpack({"a": content}, tmp_path / "cell")

    assert (tmp_path / "cell").is_symlink()
    assert packed(tmp_path / "disk") == {"cell/a": b"new"}


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    unpack({"a": b"old"}, tmp_path / "cell")
    with pytest.raises(FileExistsError):
        unpack({"a": b"new", "a/b": b"below a file"}, tmp_path / "cell")

    assert packed(tmp_path) == {"cell/a": b"old"}


def test_what_there_is_no_room_for_says_how_much_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path, _content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    unpack({"a": b"old"}, tmp_path / "cell")
    with monkeypatch.context() as while_full:
        while_full.setattr(Path, "write_bytes", full)
        with pytest.raises(ResourceError) as raised:
            unpack({"a": bytes(3 << 20)}, tmp_path / "cell")

    assert re.fullmatch(
        rf"{re.escape(str(tmp_path / 'cell'))}: the disk is full: there is no room for the results\n"
        r"  got: \d+\.\d\d MiB free\n  expected: about 3\.00 MiB\n  fix: free some space, .*",
        str(raised.value),
    )
    assert packed(tmp_path) == {"cell/a": b"old"}


@pytest.mark.parametrize("name", ["../out.txt", "a/../../out.txt", "/edgewright-out.txt"])
def test_a_name_that_leads_out_of_the_folder_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(IntegrityError, match="outside their own folder"):
        unpack({"fine.txt": b"x", name: b"x"}, tmp_path / "results")
    assert list(tmp_path.iterdir()) == []
