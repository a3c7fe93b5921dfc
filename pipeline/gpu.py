"""The NVIDIA GPU of this machine, asked of its driver alone: nothing has to be installed and little is loaded."""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.artifact import Json

__all__ = ["Gpu", "gpu_or_reason", "this_gpu"]

_DRIVER = "libcuda.so.1"
"""The driver's own library rather than NVML: it is on Jetson boards too, and it minds CUDA_VISIBLE_DEVICES."""

_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of the driver's interface."""

_NAME_BYTES = 256
_KERNEL_MODULE = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """What decides which engines run on a GPU.

    Attributes:
        capability: Compute capability, such as ``sm86``.
        driver: Version of the driver, or the CUDA version it speaks where it does not tell its own.
    """

    name: str
    capability: str
    driver: str
    memory_bytes: int

    def to_json(self) -> dict[str, Json]:
        """As JSON, without the memory, which decides nothing."""
        return {"name": self.name, "capability": self.capability, "driver": self.driver}


def this_gpu() -> Gpu | None:
    """The first GPU that this process may use."""
    found = gpu_or_reason()
    return found if isinstance(found, Gpu) else None


@cache
def gpu_or_reason() -> Gpu | str:
    """The first GPU that this process may use, or in one sentence why there is none."""
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError:
        return f"no NVIDIA GPU: the driver's library {_DRIVER} is not installed"
    if (answer := driver.cuInit(0)) != 0:
        return f"no NVIDIA GPU: the driver answers with error {answer} when asked to start"
    return _described(driver)


def _described(driver: Any) -> Gpu | str:  # noqa: ANN401 - a C library
    count, handle = ctypes.c_int(), ctypes.c_int()
    driver.cuDeviceGetCount(ctypes.byref(count))
    if count.value == 0 or driver.cuDeviceGet(ctypes.byref(handle), 0) != 0:
        return "no NVIDIA GPU: the driver finds none that this process may use"
    name = ctypes.create_string_buffer(_NAME_BYTES)
    major, minor, cuda = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    memory = ctypes.c_size_t()
    answers = (
        driver.cuDeviceGetName(name, _NAME_BYTES, handle),
        driver.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, handle),
        driver.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, handle),
        driver.cuDeviceTotalMem_v2(ctypes.byref(memory), handle),
        driver.cuDriverGetVersion(ctypes.byref(cuda)),
    )
    if any(answers):
        return f"no usable NVIDIA GPU: the driver answers with errors {answers} when asked about it"
    return Gpu(
        name=name.value.decode(),
        capability=f"sm{major.value}{minor.value}",
        driver=_module_version() or f"CUDA {cuda.value // 1000}.{cuda.value % 1000 // 10}",
        memory_bytes=memory.value,
    )


def _module_version() -> str | None:
    """Version of the kernel module, such as 570.124.06; None where the system does not tell it, as on Jetson."""
    if not _KERNEL_MODULE.exists():
        return None
    found = re.search(r"\b\d{3}\.\d+(\.\d+)?\b", _KERNEL_MODULE.read_text(encoding="utf-8"))
    return found.group() if found else None
