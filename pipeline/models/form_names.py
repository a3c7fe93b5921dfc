"""What ``architecture.json`` calls modules that are not the builder's."""

from __future__ import annotations

__all__ = ["FEWER_HEADS", "FOLDED_NORM", "NO_BLOCK"]

NO_BLOCK = "no block"
FEWER_HEADS = "fewer heads"
FOLDED_NORM = "folded norm"
