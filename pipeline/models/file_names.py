"""Names of the two files that a network is kept as."""

from __future__ import annotations

__all__ = ["ARCHITECTURE", "WEIGHTS"]

ARCHITECTURE = "architecture.json"
WEIGHTS = "weights.safetensors"
