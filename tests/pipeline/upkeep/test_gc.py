"""Making room takes what was not used for long, and never what a living run uses."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from pipeline.store import Store
from pipeline.upkeep.check import check
from pipeline.upkeep.contents import contents
from pipeline.upkeep.gc import collect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Age = Callable[[Path, float], None]

ELSEWHERE = {"data", "weights", "place"}


def _kinds(root: Path) -> list[str]:
    return sorted(item.kind for item in contents(root))


def test_what_was_not_used_for_long_goes_and_its_keys_with_it(full: Path, age: Age) -> None:
    age(full, 31)
    freed = collect(full, older_than_days=30, keep_bytes=None, dry_run=False)
    assert sorted(item.kind for item in freed.removed) == ["measurement", "result", "result", "unfinished"]
    assert freed.in_use == ()
    assert set(_kinds(full)) == ELSEWHERE
    assert list((full / "keys").iterdir()) == []
    assert list((full / "work").iterdir()) == []


def test_what_was_used_since_stays(full: Path, age: Age) -> None:
    age(full, 29)
    assert collect(full, older_than_days=30, keep_bytes=None, dry_run=False).removed == ()
    assert len(contents(full)) == 7


def test_what_was_used_longest_ago_goes_until_little_enough_is_left(full: Path, age: Age) -> None:
    age(full, 31)
    keep = next(item for item in contents(full) if item.what == "baseline")
    assert Store(full).find(keep.path.name) is not None  # used now
    gc.collect()
    collect(full, older_than_days=None, keep_bytes=keep.size_bytes, dry_run=False)
    assert [item.what for item in contents(full) if item.kind not in ELSEWHERE] == ["baseline"]


def test_a_dry_run_says_the_same_and_removes_nothing(full: Path, age: Age) -> None:
    age(full, 31)
    before = _kinds(full)
    told = collect(full, older_than_days=30, keep_bytes=None, dry_run=True)
    assert _kinds(full) == before
    done = collect(full, older_than_days=30, keep_bytes=None, dry_run=False)
    assert {item.path for item in told.removed} == {item.path for item in done.removed}
    assert told.size_bytes == done.size_bytes


def test_what_a_living_run_has_read_stays_and_the_rest_goes(full: Path, age: Age) -> None:
    age(full, 31)
    keep = next(item for item in contents(full) if item.what == "build")
    running = Store(full)
    assert running.find(keep.path.name) is not None
    freed = collect(full, older_than_days=0, keep_bytes=0, dry_run=False)
    assert [item.what for item in freed.in_use] == ["build"]
    assert [item.what for item in contents(full) if item.kind == "result"] == ["build"]
    assert running.find(keep.path.name) is not None
    del running
    gc.collect()
    assert [item.what for item in collect(full, older_than_days=0, keep_bytes=0, dry_run=False).removed] == ["build"]


def test_what_a_living_run_has_made_stays(full: Path) -> None:
    running = Store(full)
    with running.workspace() as folder:
        (folder / "half").touch()
        before = len(list((full / "artifacts").iterdir()))
        collect(full, older_than_days=0, keep_bytes=0, dry_run=False)
        assert (folder / "half").exists()
    assert before == 2


def test_unfinished_work_whose_key_is_held_stays(full: Path, age: Age) -> None:
    age(full, 31)
    with Store(full).exclusive("k"):
        freed = collect(full, older_than_days=30, keep_bytes=None, dry_run=False)
        assert [item.kind for item in freed.in_use] == ["unfinished"]
        assert (full / "unfinished" / "k").is_dir()


def test_what_is_left_is_intact(full: Path, age: Age) -> None:
    age(full, 31)
    collect(full, older_than_days=None, keep_bytes=2500, dry_run=False)
    assert check(full, repair=False).damaged == ()


def test_of_a_store_that_is_not_there_nothing_goes_and_nothing_is_made(tmp_path: Path) -> None:
    assert collect(tmp_path / "nowhere", older_than_days=0, keep_bytes=0, dry_run=False).removed == ()
    assert not (tmp_path / "nowhere").exists()
