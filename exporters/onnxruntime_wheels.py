"""The two wheels of ONNX Runtime: they unpack into one folder, and only one of them can be there."""

from __future__ import annotations

import importlib.util

from pipeline.environment import versions

__all__ = ["CPU_WHEEL", "GPU_WHEEL", "mixture", "wheel_missing"]

CPU_WHEEL, GPU_WHEEL = "onnxruntime", "onnxruntime-gpu"
_REMOVE_BOTH = f"pip uninstall -y {CPU_WHEEL} {GPU_WHEEL}"


def mixture() -> str | None:
    """None, or what is wrong when both wheels were installed, and the commands that mend it."""
    found = versions((CPU_WHEEL, GPU_WHEEL))
    if not all(found.values()):
        return None
    both = " and ".join(f"{name} {version}" for name, version in found.items())
    return (
        f"{both} are both installed and overwrite each other's files: "
        f"{_REMOVE_BOTH} && pip install {GPU_WHEEL}   (or {CPU_WHEEL}, without a GPU)"
    )


def wheel_missing(wheel: str) -> str | None:
    """None when ``wheel`` is installed and alone; else what to type."""
    if trouble := mixture():
        return trouble
    if versions((wheel,))[wheel] is not None and importlib.util.find_spec("onnxruntime") is not None:
        return None
    return f"{wheel} is not installed: {_REMOVE_BOTH} && pip install {wheel}"
