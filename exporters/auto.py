"""Which target ``--target auto`` means on a machine."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from exporters.ort_cpu import ORT_CPU

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporters.target import Target
    from pipeline.environment import Machine

__all__ = ["choose_target"]

_ON_A_GPU = (
    ("exporters.tensorrt.target:TENSORRT", "an NVIDIA GPU with TensorRT"),
    ("exporters.tensorrt.target:TENSORRT_RTX", "an NVIDIA GPU with TensorRT for RTX"),
    ("exporters.ort_cuda:ORT_CUDA", "an NVIDIA GPU with onnxruntime-gpu"),
)
"""Best first."""


def _unable(target: Target) -> str | None:
    return target.missing() or target.cannot_run()


def choose_target(machine: Machine, *, unable: Callable[[Target], str | None] = _unable) -> tuple[str, str]:
    """Name of the target, and why it.

    Args:
        machine: Told in the reason where the CPU is chosen.
        unable: Why a target cannot be built and run; None when it can.
    """
    for path, reason in _ON_A_GPU:
        module, _, name = path.partition(":")
        target: Target = getattr(importlib.import_module(module), name)
        if unable(target) is None:
            return target.name, reason
    return ORT_CPU.name, f"no GPU that a runtime here can use; {machine.cpu} ({machine.architecture})"
