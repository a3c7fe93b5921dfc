"""Clocks, temperature and memory of the NVIDIA GPU, and what holds its clocks back, as its driver's NVML tells them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.artifact import Json

__all__ = ["NVML_NAMES", "gpu_state", "slowdowns"]

NVML_NAMES = (
    "ClockType.MEM", "ClockType.SM", "ClocksEventReasons.EVENT_REASON_GPU_IDLE",
    "ClocksEventReasons.EVENT_REASON_NONE", "NvmlError", "device_get_clock_info",
    "device_get_current_clocks_event_reasons", "device_get_handle_by_pci_bus_id_v2", "device_get_memory_info_v2",
    "device_get_temperature_v", "init_v2", "shutdown",
)  # fmt: skip
"""What is used of ``cuda.bindings.nvml``; a test looks each up."""

_BUS_ID_BYTES = 32


def gpu_state() -> dict[str, Json] | None:
    """The GPU that CUDA calls the first, now.

    Returns:
        ``sm_mhz``, ``memory_mhz``, ``celsius``, ``used_bytes`` (of all processes together) and ``held_back`` (names of
        what keeps the clocks down, idling aside), each None where this GPU does not tell it; None where NVML is not
        there at all.
    """
    try:
        nvml: Any = importlib.import_module("cuda.bindings.nvml")
        cuda: Any = importlib.import_module("cuda.bindings.runtime")
    except ImportError:
        return None
    if _known(nvml, lambda: nvml.init_v2() or True) is None:  # no driver, or one without NVML, as on some boards
        return None
    error, bus_id = cuda.cudaDeviceGetPCIBusId(_BUS_ID_BYTES, 0)
    name = None if int(error) != 0 else bus_id.decode().rstrip("\0")
    device = None if name is None else _known(nvml, lambda: nvml.device_get_handle_by_pci_bus_id_v2(name))
    found = None if device is None else _told(nvml, device)
    _known(nvml, nvml.shutdown)
    return found


def _told(nvml: Any, device: int) -> dict[str, Json]:  # noqa: ANN401 - bindings have no types
    asked: dict[str, Callable[[], Json]] = {
        "sm_mhz": lambda: int(nvml.device_get_clock_info(device, nvml.ClockType.SM)),
        "memory_mhz": lambda: int(nvml.device_get_clock_info(device, nvml.ClockType.MEM)),
        "celsius": lambda: int(nvml.device_get_temperature_v(device, 0)),
        "used_bytes": lambda: int(nvml.device_get_memory_info_v2(device).used),
        "held_back": lambda: slowdowns(nvml, int(nvml.device_get_current_clocks_event_reasons(device))),
    }
    return {name: _known(nvml, ask) for name, ask in asked.items()}


def _known(nvml: Any, ask: Callable[[], Any]) -> Any:  # noqa: ANN401
    """What the call gives; None where the GPU, the driver or its library does not tell it."""
    try:
        return ask()
    except (nvml.NvmlError, RuntimeError):  # a library without the function raises the latter
        return None


def slowdowns(nvml: Any, bits: int) -> list[str]:  # noqa: ANN401
    """Names of the reasons in NVML's bits that keep a busy GPU below its highest clocks."""
    reasons = nvml.ClocksEventReasons
    idle = int(reasons.EVENT_REASON_GPU_IDLE) | int(reasons.EVENT_REASON_NONE)
    return [reason.name.partition("REASON_")[2].lower() for reason in reasons if int(reason) & bits & ~idle]
