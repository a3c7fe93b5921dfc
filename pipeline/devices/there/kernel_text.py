"""Small files in which the kernel tells of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["kernel_number", "kernel_text"]


def kernel_text(path: Path) -> str | None:
    """What stands there; None where it is not there or its driver does not answer."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip().strip("\0")
    except OSError:
        return None


def kernel_number(path: Path, base: int = 10) -> int | None:
    """As a number; None where it is none, too."""
    try:
        return int(kernel_text(path) or "", base)
    except ValueError:
        return None
