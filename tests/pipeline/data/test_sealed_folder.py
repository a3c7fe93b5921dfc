"""A folder of images that we wrote is used while it is what was written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.artifact import sha256_of_json
from pipeline.data import digits
from pipeline.data.digits import write_digits
from pipeline.data.sealed_folder import is_as_written, publish_sealed
from pipeline.progress import SilentProgress

_FILES = {f"{split}/{label}/{number}.png": bytes([number]) for split, label, number in (("a", 0, 1), ("a", 1, 2))}


class _Notes(SilentProgress):
    """Progress that remembers what was said."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    _write(tmp_path / "set", tmp_path)
    return tmp_path / "set"


def _write(target: Path, cache: Path) -> None:
    with publish_sealed(target, cache) as folder:
        for name, content in _FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def _change_a_byte(folder: Path) -> None:
    (folder / "a/0/1.png").write_bytes(b"x")


def _list_it_otherwise(folder: Path) -> None:
    path = folder / ".written.json"
    listed = json.loads(path.read_text(encoding="utf-8"))
    listed["files"] = dict(list(listed["files"].items())[:1])
    path.write_text(json.dumps(listed), encoding="utf-8")
    (folder / "a/1/2.png").unlink()


_DAMAGES: dict[str, Callable[[Path], object]] = {
    "a byte": _change_a_byte,
    "a file gone": lambda folder: (folder / "a/0/1.png").unlink(),
    "a file more": lambda folder: (folder / "a/0/3.png").touch(),
    "another class": lambda folder: (folder / "a/0/1.png").rename(folder / "a/1/1.png"),
    "two exchanged": lambda folder: shutil.copy(folder / "a/0/1.png", folder / "a/1/2.png"),
    "a link for a class": lambda folder: (folder / "a/0").rename(folder / "b") and (folder / "a/0").symlink_to("../b"),
    "no list": lambda folder: (folder / ".written.json").unlink(),
    "a list that is none": lambda folder: (folder / ".written.json").write_bytes(b"\xff["),
    "another list": _list_it_otherwise,
}


def test_what_was_written_is_known_and_nothing_is_said(written: Path, tmp_path: Path) -> None:
    (written / "a" / ".DS_Store").touch()  # nobody reads it
    notes = _Notes()
    assert is_as_written(written, tmp_path, notes)
    assert notes.notes == []


@pytest.mark.parametrize("damage", _DAMAGES.values(), ids=_DAMAGES)
def test_what_is_not_as_it_was_written_is_told_and_replaced(
    written: Path, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    assert is_as_written(written, tmp_path, SilentProgress())
    damage(written)
    notes = _Notes()
    assert not is_as_written(written, tmp_path, notes)
    assert notes.notes == [f"{written} cannot be seen to be what was written there: it is made anew"]

    _write(written, tmp_path)
    assert is_as_written(written, tmp_path, SilentProgress())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.sqlite", "set"]


def test_of_two_that_write_it_the_first_ones_files_stay(written: Path, tmp_path: Path) -> None:
    before = (written / "a/0/1.png").stat().st_ino
    _write(written, tmp_path)
    assert (written / "a/0/1.png").stat().st_ino == before


def test_a_link_to_a_folder_that_is_not_as_written_stays_a_link(written: Path, tmp_path: Path) -> None:
    written.rename(tmp_path / "elsewhere")
    written.symlink_to("elsewhere")
    _change_a_byte(written)
    _write(written, tmp_path)
    assert written.is_symlink()
    assert is_as_written(written, tmp_path, SilentProgress())


def test_digits_that_were_moved_or_deleted_are_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"{split}/{label}/0.png": b"x" for split in ("train", "test") for label in (0, 1)}
    monkeypatch.setattr(digits, "_files", lambda: files)
    hashed = sha256_of_json({name: content.hex() for name, content in files.items()})
    monkeypatch.setattr(digits, "DIGITS_SHA256", hashed)
    root, notes = write_digits(tmp_path, SilentProgress()), _Notes()
    shutil.move(root / "test/0/0.png", root / "test/1/1.png")

    assert write_digits(tmp_path, notes) == root
    assert len(notes.notes) == 1
    assert {path.relative_to(root).as_posix() for path in root.rglob("*.png")} == set(files)
