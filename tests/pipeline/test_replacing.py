"""A folder takes the place of another one, whoever else does the same and whatever the file system can."""

from __future__ import annotations

import ctypes
import errno
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.replacing import exchange, replace_folder


def _folder(place: Path, text: str) -> Path:
    place.mkdir()
    (place / "file").write_text(text, encoding="utf-8")
    return place


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(params=[True, False], ids=["at once", "in turn"])
def _file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that exchanges two folders, and one that cannot."""
    if not request.param:
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace())


@pytest.mark.usefixtures("_file_system")
def test_what_stood_there_is_in_the_other_ones_place(tmp_path: Path) -> None:
    work, place = _folder(tmp_path / "work", "new"), tmp_path / "place"
    replace_folder(work, place)
    assert _names(tmp_path) == {"place"}
    replace_folder(_folder(work, "newer"), place)
    assert (place / "file").read_text(encoding="utf-8") == "newer"
    assert (work / "file").read_text(encoding="utf-8") == "new"
    assert _names(tmp_path) == {"place", "work"}


@pytest.mark.usefixtures("_file_system")
def test_of_two_that_publish_first_at_once_both_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "place"
    real = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: path != place and real(path))  # as the later one saw it
    for name in ("one", "two"):
        replace_folder(_folder(tmp_path / name, name), place)
    assert (place / "file").read_text(encoding="utf-8") == "two"


def test_what_stood_there_is_back_when_the_new_one_cannot_be_put_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, place = _folder(tmp_path / "work", "new"), _folder(tmp_path / "place", "old")
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace())
    real = Path.rename

    def fails(path: Path, target: Path) -> Path:
        if path == work:
            raise OSError(errno.EIO, "broken")
        return real(path, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="broken"):
        exchange(work, place)
    assert (place / "file").read_text(encoding="utf-8") == "old"
    assert _names(tmp_path) == {"place", "work"}
