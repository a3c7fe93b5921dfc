"""A folder arrives whole, or the error is the one that it was."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from pipeline.copying import copy_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "inner" / "most").mkdir(parents=True)
    (folder / "a").write_bytes(b"a")
    (folder / "inner" / "most" / "b").write_bytes(b"b")
    (folder / "a").chmod(0o750)
    return folder


@pytest.mark.parametrize("is_there", [False, True])
def test_every_file_below_it_arrives_with_its_mode(source: Path, tmp_path: Path, *, is_there: bool) -> None:
    target = tmp_path / "target"
    if is_there:
        target.mkdir()
    copy_folder(source, target)

    found = {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert found == {"a": b"a", "inner/most/b": b"b"}
    assert (target / "a").stat().st_mode & 0o777 == 0o750


def test_a_full_disk_is_known_by_its_number(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pipeline.copying.shutil.copy2", full)
    with pytest.raises(OSError, match="No space left") as raised:
        copy_folder(source, tmp_path / "target")

    assert raised.value.errno == errno.ENOSPC


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        copy_folder(tmp_path / "nowhere", tmp_path / "target")
