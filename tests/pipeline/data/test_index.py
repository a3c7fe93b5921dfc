"""The index of files that did not change."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import pytest

from pipeline.data import index as index_module
from pipeline.data.index import Decoded, FileIndex
from pipeline.errors import DataError, ResourceError
from pipeline.progress import SilentProgress


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Paths that were read for hashing."""
    read = []
    original = index_module.sha256_of_file
    monkeypatch.setattr(index_module, "sha256_of_file", lambda path: (read.append(path), original(path))[1])
    return read


def _file(path: Path, content: bytes, *, age_s: float = 60) -> Path:
    path.write_bytes(content)
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - int(age_s * 1e9)))
    return path


def _hashes(cache: Path, paths: list[Path]) -> dict[Path, str]:
    with FileIndex(cache) as index:
        return {path: known.sha256 for path, known in index.hashes(paths, SilentProgress()).items()}


def test_the_hash_is_the_files_sha256(tmp_path: Path) -> None:
    path = _file(tmp_path / "a", b"abc")
    assert _hashes(tmp_path / "cache", [path]) == {path: hashlib.sha256(b"abc").hexdigest()}


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, reads: list[Path]) -> None:
    path = _file(tmp_path / "a", b"abc")
    first = _hashes(tmp_path / "cache", [path])
    assert _hashes(tmp_path / "cache", [path]) == first
    assert reads == [path]


def test_a_changed_file_is_read_again(tmp_path: Path, reads: list[Path]) -> None:
    path = _file(tmp_path / "a", b"abc")
    _hashes(tmp_path / "cache", [path])
    _file(path, b"abd", age_s=30)
    assert _hashes(tmp_path / "cache", [path])[path] == hashlib.sha256(b"abd").hexdigest()
    assert len(reads) == 2


def test_a_file_written_just_now_is_not_trusted_to_stay(tmp_path: Path, reads: list[Path]) -> None:
    path = _file(tmp_path / "a", b"abc", age_s=0)
    _hashes(tmp_path / "cache", [path])
    _hashes(tmp_path / "cache", [path])
    assert len(reads) == 2


def test_more_files_than_fit_into_one_query_are_found_again(tmp_path: Path, reads: list[Path]) -> None:
    paths = [_file(tmp_path / str(number), str(number).encode()) for number in range(1203)]
    first = _hashes(tmp_path / "cache", paths)
    assert _hashes(tmp_path / "cache", paths) == first
    assert len(reads) == 1203


def test_a_damaged_index_is_made_anew(tmp_path: Path) -> None:
    path = _file(tmp_path / "a", b"abc")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "index.sqlite").write_bytes(b"this is no database" * 100)
    assert len(_hashes(tmp_path / "cache", [path])) == 1


def test_no_flipped_bit_of_an_index_changes_what_is_known(tmp_path: Path) -> None:
    paths = [_file(tmp_path / str(number), str(number).encode()) for number in range(10)]
    cache, chance = tmp_path / "cache", random.Random(0)
    right = _hashes(cache, paths)
    images = {sha256: Decoded(several=False, look=bytes(range(8))) for sha256 in right.values()}
    with FileIndex(cache) as index:
        index.remember_decoded(images)
    whole = (cache / "index.sqlite").read_bytes()
    wrong = []
    header = range(100)  # of SQLite: versions, sizes, encoding
    for place in (*header, *chance.sample([place for place, byte in enumerate(whole) if byte], 60)):
        content = bytearray(whole)
        content[place] ^= 1 << chance.randrange(8)
        (cache / "index.sqlite").write_bytes(content)
        with FileIndex(cache) as index:
            found = {path: known.sha256 for path, known in index.hashes(paths, SilentProgress()).items()}
            if found != right or not index.decoded(images).items() <= images.items():
                wrong.append(place)
            index.remember_decoded(images)
            if index.decoded(images) != images:
                wrong.append(place)
    assert wrong == []


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png"):
        _hashes(tmp_path / "cache", [tmp_path / "gone.png"])


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in the way", encoding="utf-8")
    with pytest.raises(ResourceError, match="index of files cannot be written"):
        _hashes(tmp_path / "cache", [])


def test_what_decodes_is_remembered_by_content(tmp_path: Path) -> None:
    with FileIndex(tmp_path) as index:
        index.remember_decoded({"a": Decoded(several=False, look=b"1"), "b": Decoded(several=True, look=b"2")})
        index.remember_decoded({"b": Decoded(several=True, look=b"2")})
    with FileIndex(tmp_path) as index:
        assert index.decoded(["a", "b", "c"]) == {
            "a": Decoded(several=False, look=b"1"),
            "b": Decoded(several=True, look=b"2"),
        }


def test_what_passed_under_an_older_rule_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = {"0" * 64: Decoded(several=False, look=b"x")}
    with FileIndex(tmp_path) as index:
        index.remember_decoded(images)
        assert index.decoded(images) == images
        monkeypatch.setattr(index_module, "READING", index_module.READING + 1)
        assert index.decoded(images) == {}
        index.remember_decoded(images)
        assert index.decoded(images) == images
