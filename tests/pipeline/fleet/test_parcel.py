"""What a cell made arrives as it was, all of it or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.errors import IntegrityError
from pipeline.fleet.parcel import packed, unpack

if TYPE_CHECKING:
    from pathlib import Path


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


@pytest.mark.parametrize("name", ["../out.txt", "a/../../out.txt", "/edgewright-out.txt"])
def test_a_name_that_leads_out_of_the_folder_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(IntegrityError, match="outside their own folder"):
        unpack({"fine.txt": b"x", name: b"x"}, tmp_path / "results")
    assert list(tmp_path.iterdir()) == []
