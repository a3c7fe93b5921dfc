"""Checking a store finds each damaged byte, and repairing removes what is damaged and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.store import Store
from pipeline.upkeep.check import check

if TYPE_CHECKING:
    from pathlib import Path


def _checked_files(root: Path) -> list[Path]:
    folders = (root / "artifacts", root / "keys", root / "records", root / "data" / "weights")
    return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())


def _flip(path: Path, place: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.chmod(0o644)
    path.write_bytes(content)


def test_what_was_put_there_is_intact(full: Path) -> None:
    found = check(full, repair=False)
    assert (found.looked_at, found.damaged) == (7, ())


def test_a_flipped_byte_of_any_file_is_noticed_and_named(full: Path) -> None:
    unseen = []
    files = _checked_files(full)
    for path in files:
        whole = path.read_bytes()
        for place in {0, 5, len(whole) // 2, len(whole) - 1}:
            _flip(path, place, 5)
            damaged = check(full, repair=False).damaged
            if len(damaged) != 1 or not damaged[0].why:
                unseen.append((path.name, place))
            path.write_bytes(whole)
    assert unseen == []
    assert len(files) == 10
    assert check(full, repair=False).damaged == ()


@pytest.mark.parametrize("what", ["artifacts", "keys", "records", "data/weights"])
def test_repairing_removes_what_is_damaged_and_nothing_else(full: Path, what: str) -> None:
    path = next(path for path in (full / what).rglob("*") if path.is_file() and path.suffix != ".sha256")
    _flip(path, 3, 0)
    (damage,) = check(full, repair=True).damaged
    assert not (full / damage.path).exists()
    after = check(full, repair=False)
    assert (after.looked_at, after.damaged) == (6, ())


def test_a_result_that_is_damaged_is_not_touched_unless_asked(full: Path) -> None:
    home = next((full / "artifacts").iterdir())
    (home / "model.onnx").unlink()
    (damage,) = check(full, repair=False).damaged
    assert damage.path == f"artifacts/{home.name}"
    assert home.is_dir()


def test_a_key_under_another_name_is_damaged(full: Path) -> None:
    path = next((full / "keys").iterdir())
    path.rename(path.with_name(f"{'0' * 64}.json"))
    (damage,) = check(full, repair=False).damaged
    assert damage.path == f"keys/{'0' * 64}.json"


def test_a_store_that_is_not_there_is_intact(tmp_path: Path) -> None:
    assert check(tmp_path / "nowhere", repair=True).looked_at == 0
    assert not (tmp_path / "nowhere").exists()


def test_what_was_repaired_is_absent_and_can_be_made_anew(full: Path) -> None:
    home = next((full / "artifacts").iterdir())
    _flip(home / "model.onnx", 0, 0)
    check(full, repair=True)
    store = Store(full)
    assert store.find(home.name) is None
    assert store.lost == []
