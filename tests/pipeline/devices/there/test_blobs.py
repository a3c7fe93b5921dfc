"""Files kept on the device by their hash: whole or not at all, within a limit."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from pathlib import Path

import pytest

from pipeline.devices.there.blobs import Blobs, NoRoomError

_PLENTY = 1 << 40
_LEFT, _COMING = f"{32 * '0'}.part", f"{32 * '1'}.part"


def _kept(blobs: Blobs, data: bytes, *, used_s: int = 0) -> str:
    sha256 = hashlib.sha256(data).hexdigest()
    assert blobs.put(sha256, [data[:3], data[3:]])
    os.utime(blobs.path(sha256), (used_s, used_s))
    return sha256


def test_what_was_put_is_there_and_what_was_damaged_is_not(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    whole, cut, changed = (_kept(blobs, data) for data in (b"whole", b"cut off", b"changed"))
    blobs.path(cut).write_bytes(b"cut")
    blobs.path(changed).write_bytes(b"CHANGED")

    assert blobs.lacking({whole: 5, cut: 7, changed: 7, "0" * 64: 1}) == [cut, changed, "0" * 64]
    assert blobs.path(whole).read_bytes() == b"whole"
    assert not blobs.path(cut).exists()


def test_bytes_that_are_not_what_their_name_says_are_not_kept(tmp_path: Path) -> None:
    assert not Blobs(tmp_path).put("0" * 64, [b"other"])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_all_pieces_are_taken_also_when_the_disk_fails(tmp_path: Path) -> None:
    pieces = iter([b"a", b"b", b"c"])
    (tmp_path / "root").write_text("no folder")
    with pytest.raises(OSError, match=r"directory|exists"):
        Blobs(tmp_path / "root").put("0" * 64, pieces)
    assert list(pieces) == []


def test_what_was_not_used_for_longest_goes_first_and_what_is_needed_stays(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    oldest, old, new = (_kept(blobs, bytes([number]) * 100, used_s=number) for number in (1, 2, 3))

    blobs.make_room(100, keep=[oldest], limit=300, least_free=0)

    assert [blobs.path(one).exists() for one in (oldest, old, new)] == [True, False, True]


def test_what_cannot_fit_is_refused_with_the_figures(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    needed = _kept(blobs, b"x" * 100)
    with pytest.raises(NoRoomError, match="the cache may hold"):
        blobs.make_room(100, keep=[needed], limit=150, least_free=0)
    with pytest.raises(NoRoomError, match="have to stay"):
        blobs.make_room(1, keep=[needed], limit=1000, least_free=_PLENTY)
    assert blobs.path(needed).exists()


def test_what_writers_that_died_have_left_goes_and_what_others_are_writing_counts(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    old = _kept(blobs, b"x" * 100)
    (tmp_path / _LEFT).write_bytes(b"half")
    os.utime(tmp_path / _LEFT, (1, 1))
    with (tmp_path / _COMING).open("wb") as coming:
        fcntl.flock(coming, fcntl.LOCK_EX)
        coming.write(b"y" * 100)
        coming.flush()
        os.utime(coming.fileno(), (1, 1))
        blobs.make_room(100, keep=[], limit=299, least_free=0)

    assert sorted(path.name for path in tmp_path.glob("*.part")) == [_COMING]
    assert not blobs.path(old).exists()


def test_what_came_just_now_counts_also_where_its_writer_takes_no_lock(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    old = _kept(blobs, b"x" * 100)
    (tmp_path / _COMING).write_bytes(b"y" * 100)  # by an older agent
    blobs.make_room(100, keep=[], limit=299, least_free=0)

    assert (tmp_path / _COMING).exists()
    assert not blobs.path(old).exists()


def test_what_a_dead_writer_left_goes_also_where_the_clock_was_set_back_since(tmp_path: Path) -> None:
    blobs, ahead_s = Blobs(tmp_path), 1 << 33  # of the year 2242
    for name in (_LEFT, _COMING):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (ahead_s, ahead_s))
    with (tmp_path / _COMING).open("r+b") as coming:
        fcntl.flock(coming, fcntl.LOCK_EX)
        blobs.make_room(1, keep=[], limit=300, least_free=0)

    assert [path.name for path in tmp_path.glob("*.part")] == [_COMING]


def test_what_others_were_promised_has_room_too(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    old, needed = _kept(blobs, b"x" * 100), _kept(blobs, b"y" * 100)

    blobs.make_room(100, keep=[needed], limit=300, least_free=0, promised=100)
    assert [blobs.path(one).exists() for one in (old, needed)] == [False, True]
    with pytest.raises(NoRoomError, match=r"have to be sent and 0\.0 come for another run"):
        blobs.make_room(100, keep=[needed], limit=300, least_free=0, promised=101)
    with pytest.raises(NoRoomError):
        blobs.make_room(0, keep=[needed], limit=300, least_free=0, promised=_PLENTY)


def test_in_a_home_nothing_of_its_owner_is_counted_or_removed(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    sent = _kept(blobs, b"sent")
    theirs = [tmp_path / name for name in ("go/main.go", "00/notes", "film.part", f"00/{'1' * 64}", f"11/{'1' * 64}/x")]
    for path in theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
        os.utime(path, (1, 1))
    (tmp_path / "22").mkdir()
    link = tmp_path / "22" / ("2" * 64)
    link.symlink_to(theirs[0])
    (tmp_path / _LEFT).mkdir()
    (tmp_path / "ff").mkdir()
    before = set(tmp_path.rglob("*"))

    with pytest.raises(NoRoomError):
        blobs.make_room(1, keep=[sent], limit=4, least_free=0)
    blobs.make_room(0, keep=[sent], limit=4, least_free=0)
    assert set(tmp_path.rglob("*")) == before

    assert blobs.clear() == (4, [])
    assert set(tmp_path.rglob("*")) == before - {blobs.path(sent), blobs.path(sent).parent}


def test_what_is_cleared_leaves_no_folder_also_where_room_was_made(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "cache")
    blobs.make_room(1, keep=[], limit=4, least_free=0)
    assert blobs.clear() == (0, [])
    _kept(blobs, b"old")
    blobs.make_room(4, keep=[], limit=4, least_free=0)
    _kept(blobs, b"sent")
    (tmp_path / "cache" / _LEFT).write_bytes(b"half")
    assert blobs.clear() == (8, [])
    assert list(tmp_path.iterdir()) == []


def test_a_file_finds_its_folder_removed_as_empty_by_another_that_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, calls = Path.replace, []

    def late(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 1:
            target.parent.rmdir()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", late)
    blobs = Blobs(tmp_path)
    assert blobs.path(_kept(blobs, b"sent")).read_bytes() == b"sent"
    assert len(calls) == 2


def test_one_that_cannot_be_removed_is_told_and_the_others_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = Blobs(tmp_path / "cache")
    stuck, *_ = [_kept(blobs, bytes([number])) for number in range(5)]
    unlink = Path.unlink

    def refused(self: Path, missing_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - as it is
        if self.name == stuck:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    freed, (left,) = blobs.clear()

    assert freed == 4
    assert "Permission denied" in left
    assert str(blobs.path(stuck)) in left
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [blobs.path(stuck)]
