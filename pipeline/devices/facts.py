"""What a device says of itself, and what a bundle for a target lacks there."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.machine.disturbance import HOT_CELSIUS
from pipeline.environment import Machine

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["DeviceFacts", "doubts_of", "install_command", "missing_anyway", "missing_for"]

RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "openvino")
_NEEDED = ("numpy", "pillow")


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceFacts:
    """As the agent tells them.

    Attributes:
        board: Its name in the device tree; None where there is none.
        usable: Numbers of the cores that may be used.
        governors: How the clocks of the cores are chosen.
        celsius: Of the hottest zone; None where it is not told.
        versions: Of distributions, None of those that are not installed.
    """

    machine: Machine
    board: str | None
    usable: tuple[int, ...]
    memory_available_bytes: int | None
    governors: tuple[str, ...]
    celsius: float | None
    free_bytes: int
    python: str
    versions: Mapping[str, str | None]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> DeviceFacts:
        """From the agent's answer."""
        machine = {**told["machine"], "isa": tuple(told["machine"]["isa"])}
        return cls(
            machine=Machine(**machine),
            board=told["board"],
            usable=tuple(told["usable"]),
            memory_available_bytes=told["memory_available_bytes"],
            governors=tuple(told["governors"]),
            celsius=told["celsius"],
            free_bytes=told["free_bytes"],
            python=told["python"],
            versions=told["versions"],
        )


def doubts_of(governors: Iterable[str], celsius: float) -> list[str]:
    """What makes figures of a device vary.

    Args:
        governors: How its clocks are chosen.
        celsius: The hottest it was seen.
    """
    notes = []
    if unsteady := [one for one in governors if one != "performance"]:
        notes.append(
            f"its clocks follow the load (governor {', '.join(unsteady)}); steadier: "
            "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        )
    if celsius >= HOT_CELSIUS:
        notes.append(f"it was {celsius:.0f} °C hot: its clocks may have been held back")
    return notes


def missing_for(facts: DeviceFacts, distributions: Iterable[str]) -> list[str]:
    """Those of the distributions that the device has not; either wheel of ONNX Runtime is as good as the other."""
    return [name for name in distributions if not any(facts.versions.get(one) for one in _alternatives(name))]


def _alternatives(name: str) -> tuple[str, ...]:
    return ("onnxruntime", "onnxruntime-gpu") if name == "onnxruntime" else (name,)


def missing_anyway(facts: DeviceFacts) -> list[str]:
    """What every bundle needs and the device has not; ONNX Runtime stands for the runtime where there is none."""
    runtime = [] if any(facts.versions.get(name) for name in RUNTIMES) else ["onnxruntime"]
    return [*missing_for(facts, _NEEDED), *runtime]


def install_command(address: str, python: str, missing: Iterable[str]) -> str:
    """What to type here to install it there."""
    installs = f"{python} -m pip install {' '.join(missing)}"
    return f"ssh {address} {shlex.quote(installs)}"
