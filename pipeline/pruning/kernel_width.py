"""How many channels a machine's kernels take at once: in what steps fewer channels save time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.environment import Machine

__all__ = ["kernel_width"]

_USUAL = 8
_OF_AVX512 = 16
"""Measured with ONNX Runtime, see docs/decisions/0005-latency-of-whole-networks.md."""


def kernel_width(machine: Machine) -> int:
    """Channels: of a number that is no multiple of them, the rest costs as much as all of them."""
    return _OF_AVX512 if "avx512f" in machine.isa else _USUAL
