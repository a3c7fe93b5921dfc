"""Which targets ``--target auto`` considers on a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.import_path import object_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporters.target import Target
    from pipeline.environment import Machine

__all__ = ["AUTO", "candidates"]

AUTO = "auto"
"""What is typed in place of a target's name."""

_ON_A_GPU = (
    ("exporters.tensorrt.target:TENSORRT", "an NVIDIA GPU with TensorRT"),
    ("exporters.tensorrt.target:TENSORRT_RTX", "an NVIDIA GPU with TensorRT for RTX"),
    ("exporters.ort_cuda.target:ORT_CUDA", "an NVIDIA GPU with onnxruntime-gpu"),
)
"""Best first."""

_ON_THE_CPU = ("exporters.ort_cpu.target:ORT_CPU", "exporters.openvino.target:OPENVINO")
"""Neither is always the faster: that depends on the network and the CPU."""


def _unable(target: Target) -> str | None:
    return target.missing() or target.cannot_run()


def candidates(machine: Machine, *, unable: Callable[[Target], str | None] = _unable) -> tuple[tuple[Target, ...], str]:
    """The targets to build for, of which the fastest is kept, and why these.

    Args:
        machine: Told in the reason where it is the CPU's.
        unable: Why a target cannot be built and run; None when it can.
    """
    for path, reason in _ON_A_GPU:
        target: Target = object_at(path)
        if unable(target) is None:
            return (target,), reason
    able = tuple(target for target in map(object_at, _ON_THE_CPU) if unable(target) is None)
    reason = f"no GPU that a runtime here can use; {machine.cpu} ({machine.architecture})"
    return able or (object_at(_ON_THE_CPU[0]),), reason
