"""Folders appear whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pipeline.data.publish import publish_folder
from pipeline.errors import ResourceError


def test_the_folder_is_there_when_the_block_ends(tmp_path: Path) -> None:
    with publish_folder(tmp_path / "made") as folder:
        (folder / "file").write_text("content", encoding="utf-8")
        assert not (tmp_path / "made").exists()
    assert (tmp_path / "made" / "file").read_text(encoding="utf-8") == "content"


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), publish_folder(tmp_path / "made"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_whoever_was_faster_stays(tmp_path: Path) -> None:
    with publish_folder(tmp_path / "made") as folder:
        (folder / "file").write_text("second", encoding="utf-8")
        (tmp_path / "made").mkdir()
        (tmp_path / "made" / "file").write_text("first", encoding="utf-8")
    assert (tmp_path / "made" / "file").read_text(encoding="utf-8") == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_link_to_a_folder_stays_too(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "made").symlink_to("theirs")
    with publish_folder(tmp_path / "made") as folder:
        (folder / "file").write_text("ours", encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "theirs"]
    assert not list((tmp_path / "theirs").iterdir())


def test_a_full_disk_is_a_resource_error(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="cannot be written"), publish_folder(tmp_path / "made"):
        raise OSError(errno.ENOSPC, "No space left on device")
