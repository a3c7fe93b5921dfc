"""What is kept is listed by what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.upkeep.contents import contents, grouped

if TYPE_CHECKING:
    from pathlib import Path


def test_everything_is_listed_with_its_size(full: Path) -> None:
    found = {(item.kind, item.what): item.size_bytes for item in contents(full)}
    assert set(found) == {
        ("result", "build"),
        ("result", "baseline"),
        ("measurement", "measurements"),
        ("place", "datasets"),
        ("unfinished", "k"),
        ("data", "digits-1"),
        ("weights", "net.pth"),
    }
    assert found["result", "baseline"] - found["result", "build"] == 1000
    assert found["unfinished", "k"] == 500


def test_what_is_alike_stands_together(full: Path) -> None:
    assert all(len(some) == 1 for some in grouped(contents(full)).values())


def test_a_damaged_artifact_is_listed_too(full: Path) -> None:
    for home in (full / "artifacts").iterdir():
        (home / "artifact.json").write_text("no", encoding="utf-8")
    assert [item.what for item in contents(full) if item.kind == "result"].count("build") == 1


def test_of_a_store_that_is_not_there_nothing_is_listed(tmp_path: Path) -> None:
    assert contents(tmp_path / "nowhere") == []
