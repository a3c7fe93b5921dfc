"""What ``edgewright device check`` tells of a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.devices.facts import doubts_of, how_to_have_one_wheel, how_to_install, missing_anyway, mixed_wheels

if TYPE_CHECKING:
    from pipeline.devices.device import Device
    from pipeline.devices.facts import DeviceFacts

__all__ = ["DeviceCheckup", "checkup"]

_GIB = 1 << 30
_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceCheckup:
    """Figures and what should be done.

    Attributes:
        lines: A label and a value each.
        missing: What keeps it from being measured on, each with the command that helps.
        doubts: What makes its figures vary.
    """

    lines: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    doubts: tuple[str, ...]


def checkup(device: Device) -> DeviceCheckup:
    """Of a device that is connected."""
    facts, entry = device.facts, device.entry
    missing = []
    if lacking := missing_anyway(facts):
        missing.append(f"it has no {' and no '.join(lacking)}: {how_to_install(device, lacking)}")
    if (mixed := mixed_wheels(facts)) is not None:
        missing.append(f"{mixed}: {how_to_have_one_wheel(device)}")
    if facts.free_bytes < entry.least_free_mib * _MIB:
        missing.append(
            f"{facts.free_bytes / _MIB:.0f} MiB are free, {entry.least_free_mib} have to stay: free some there, "
            "or lower the device's least_free_mib"
        )
    if strange := sorted(set(entry.cores or ()) - set(facts.usable)):
        missing.append(f"it has no cores {strange}: it may use {list(facts.usable)}")
    doubts = doubts_of(facts.governors, facts.celsius or 0.0, clock_driver=facts.clock_driver)
    return DeviceCheckup(lines=_lines(facts), missing=tuple(missing), doubts=tuple(doubts))


def _lines(facts: DeviceFacts) -> tuple[tuple[str, str], ...]:
    machine = facts.machine
    available = facts.memory_available_bytes
    memory = f"{machine.ram_gib} GiB" + (f", {available / _GIB:.1f} GiB available" if available is not None else "")
    versions = {name: found or "not installed" for name, found in facts.versions.items()}
    return (
        ("board", facts.board or "not told"),
        ("CPU", machine.cpu or "not told"),
        ("architecture", f"{machine.architecture}, {machine.system}"),
        ("instructions", " ".join(machine.isa) or "none of those that matter"),
        ("cores", ", ".join(map(str, facts.usable))),
        ("memory", memory),
        ("governor", ", ".join(facts.governors) or "not told"),
        ("temperature", f"{facts.celsius:.0f} °C" if facts.celsius is not None else "not told"),
        ("free space", f"{facts.free_bytes / _GIB:.1f} GiB"),
        ("GPU", facts.no_gpu or "one that the driver answers for"),
        ("Python", facts.python + (f", of {facts.bits} bits" if facts.bits < 64 else "")),
        *versions.items(),
    )
