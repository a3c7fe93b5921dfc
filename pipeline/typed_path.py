"""Paths as people type them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["typed_path"]


def typed_path(text: str) -> Path:
    """Where ``~`` and ``~name`` stand for somebody's home, if there is such a person; else the text as it is."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)
