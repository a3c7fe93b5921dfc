"""Which target ``--target auto`` means on a machine."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporters.target import Target
    from pipeline.environment import Machine

__all__ = ["choose_target"]

_PREFERENCE = (
    ("exporters.tensorrt.target:TENSORRT", "an NVIDIA GPU with TensorRT"),
    ("exporters.tensorrt.target:TENSORRT_RTX", "an NVIDIA GPU with TensorRT for RTX"),
    ("exporters.ort_cuda:ORT_CUDA", "an NVIDIA GPU with onnxruntime-gpu"),
    ("exporters.ort_cpu:ORT_CPU", "no GPU that a runtime here can use"),
)
"""Best first; the last one is there on every machine."""


def _unable(target: Target) -> str | None:
    return target.missing() or target.cannot_run()


def choose_target(machine: Machine, *, unable: Callable[[Target], str | None] = _unable) -> tuple[str, str]:
    """Name of the target, and why it.

    Args:
        machine: Told in the reason where the CPU is chosen.
        unable: Why a target cannot be built and run; None when it can.
    """
    for path, reason in _PREFERENCE:
        module, _, name = path.partition(":")
        target: Target = getattr(importlib.import_module(module), name)
        if path == _PREFERENCE[-1][0]:
            break
        if unable(target) is None:
            return target.name, reason
    return target.name, f"{reason}; {machine.cpu} ({machine.architecture})"
