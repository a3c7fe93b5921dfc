"""Downloads that nobody serves, and downloads that come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.models import pretrained
from pipeline.models.download import UnreachableError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Addresses that were asked for; nothing is reachable."""
    asked: list[str] = []

    def refuse(url: str, *_: object) -> Path:
        asked.append(url)
        reason = "offline"
        raise UnreachableError(reason)

    monkeypatch.setattr(pretrained, "download", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return asked
