"""Paths as people type them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.typed_path import typed_path


@pytest.mark.parametrize(
    ("text", "path"),
    [("~/photos", "/home/me/photos"), ("~nobody-of-that-name/photos", "~nobody-of-that-name/photos"), ("a/b", "a/b")],
)
def test_a_home_is_put_in_where_there_is_one(text: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert typed_path(text) == Path(path)
