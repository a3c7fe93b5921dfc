"""What a device says of itself, and what a bundle for a target lacks there."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.machine.disturbance import HOT_CELSIUS
from exporters.onnxruntime_wheels import CPU_WHEEL, GPU_WHEEL
from pipeline.environment import Machine

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pipeline.devices.device import Device

__all__ = [
    "DeviceFacts",
    "doubts_of",
    "how_to_have_one_wheel",
    "how_to_install",
    "is_older",
    "missing_anyway",
    "missing_for",
    "mixed_wheels",
    "required",
    "version_of",
]

RUNTIMES = (CPU_WHEEL, GPU_WHEEL, "openvino")
_NEEDED = ("numpy", "pillow")
_LEAST = {"onnxruntime": "1.18", "onnxruntime-gpu": "1.18", "openvino": "2025.4", "pillow": "9.1"}
"""What reads the files that are made here: ONNX Runtime's IR version 10, OpenVINO's as its builder writes them; and the
Pillow that has what a bundle's preprocessing calls (``Image.Resampling``)."""
_USUAL_TARGET, _GPU_TARGET = "ort-cpu", "ort-cuda"
_STEADY = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
_CHOOSES_ITSELF = frozenset({"intel_pstate", "amd-pstate-epp"})
"""Drivers in their active mode, which follow the load under ``powersave`` too; under others that is the lowest clock
(Linux, Documentation/admin-guide/pm: cpufreq.rst, intel_pstate.rst, amd-pstate.rst)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceFacts:
    """As the agent tells them.

    Attributes:
        board: Its name in the device tree; None where there is none.
        bits: Of its Python.
        no_gpu: Why it has no NVIDIA GPU, in one sentence; None where it has one.
        usable: Numbers of the cores that may be used.
        governors: How the clocks of the cores are chosen.
        clock_driver: What carries that out; None where it is not told.
        celsius: Of the hottest zone; None where it is not told.
        versions: Of distributions, None of those that are not installed.
    """

    machine: Machine
    board: str | None
    bits: int
    no_gpu: str | None
    usable: tuple[int, ...]
    memory_available_bytes: int | None
    governors: tuple[str, ...]
    clock_driver: str | None
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
            bits=told["bits"],
            no_gpu=told["no_gpu"],
            usable=tuple(told["usable"]),
            memory_available_bytes=told["memory_available_bytes"],
            governors=tuple(told["governors"]),
            clock_driver=told["clock_driver"],
            celsius=told["celsius"],
            free_bytes=told["free_bytes"],
            python=told["python"],
            versions=told["versions"],
        )


def doubts_of(governors: Collection[str], celsius: float = 0.0, *, clock_driver: str | None = None) -> list[str]:
    """What makes figures of a device vary, or those of a device that could be faster.

    Args:
        governors: How its clocks are chosen.
        celsius: The hottest it was seen.
        clock_driver: What carries that out.
    """
    held = {"performance", "userspace"} | ({"powersave"} if clock_driver not in _CHOOSES_ITSELF else set())
    notes = []
    if unsteady := [one for one in governors if one not in held]:
        notes.append(f"its clocks follow the load (governor {', '.join(unsteady)}); steadier: {_STEADY}")
    if "powersave" in governors and "powersave" in held:
        notes.append(f"its clocks are held at their lowest (governor powersave); at their highest: {_STEADY}")
    if "userspace" in governors:
        notes.append(f"its clocks are where somebody set them (governor userspace); at their highest: {_STEADY}")
    if celsius >= HOT_CELSIUS:
        notes.append(f"it was {celsius:.0f} °C hot: its clocks may have been held back")
    return notes


def missing_for(facts: DeviceFacts, distributions: Iterable[str]) -> list[str]:
    """Those of the distributions that the device has not, as pip is told them; of one that is too old which it takes.

    Either wheel of ONNX Runtime is as good as the other.
    """
    lacking = []
    for name in distributions:
        found = version_of(facts, name)
        if found is None:
            lacking.append(name)
        elif name in _LEAST and is_older(found, _LEAST[name]):
            lacking.append(required(name))
    return lacking


def version_of(facts: DeviceFacts, name: str) -> str | None:
    """Of a distribution, or of the other wheel that is as good; None when neither is there."""
    return next((found for one in _alternatives(name) if (found := facts.versions.get(one))), None)


def _alternatives(name: str) -> tuple[str, ...]:
    return (CPU_WHEEL, GPU_WHEEL) if name == CPU_WHEEL else (name,)


def required(name: str) -> str:
    """A distribution as pip is told it: with the version from which on it reads what is made here."""
    return f"{name}>={_LEAST[name]}" if name in _LEAST else name


def is_older(version: str, least: str) -> bool:
    """By the first two numbers, as a bundle's ``run.py`` compares them."""
    first, second = ([int(part) for part in re.findall(r"\d+", text)[:2]] for text in (version, least))
    return first < second


def missing_anyway(facts: DeviceFacts) -> list[str]:
    """What every bundle needs and the device has not; ONNX Runtime stands for the runtime where there is none."""
    runtime = [] if any(not missing_for(facts, [name]) for name in RUNTIMES) else missing_for(facts, ["onnxruntime"])
    return [*missing_for(facts, _NEEDED), *runtime]


def mixed_wheels(facts: DeviceFacts) -> str | None:
    """None, or what is wrong where both wheels of ONNX Runtime were installed."""
    found = {name: facts.versions.get(name) for name in (CPU_WHEEL, GPU_WHEEL)}
    if not all(found.values()):
        return None
    both = " and ".join(f"{name} {version}" for name, version in found.items())
    return f"{both} are both installed and overwrite each other's files"


def how_to_have_one_wheel(device: Device) -> str:
    """What to type here to have the one there that its GPU, or the lack of one, asks for."""
    wheel, target = (GPU_WHEEL, _GPU_TARGET) if device.facts.no_gpu is None else (CPU_WHEEL, _USUAL_TARGET)
    if "://" not in device.name:
        return how_to_install(device, [wheel], target)
    pip = f"{device.entry.python} -m pip"
    both = f"{pip} uninstall -y {CPU_WHEEL} {GPU_WHEEL} && {pip} install {wheel}"
    return f"ssh {device.entry.address} {shlex.quote(both)}"


def how_to_install(device: Device, missing: Iterable[str], target: str = _USUAL_TARGET) -> str:
    """What to type here to install it there.

    For one that has a name, by an environment of our own: many systems keep their own Python from pip.
    """
    if device.facts.bits < 64:
        return "set it up with a 64-bit system: runtimes have no wheels for its 32-bit Python"
    if "://" in device.name:
        installs = f"{device.entry.python} -m pip install {shlex.join(missing)}"
        return f"ssh {device.entry.address} {shlex.quote(installs)}"
    whose = "" if target == _USUAL_TARGET else f" --target {target}"
    return f"edgewright device check {device.name} --install{whose}"
