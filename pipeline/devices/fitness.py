"""Whether a bundle can be measured on a device at all, asked before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.catalog import OPENERS, target_named
from pipeline.devices.facts import install_command, missing_for
from pipeline.devices.measuring_code import is_sent
from pipeline.errors import DeviceError

if TYPE_CHECKING:
    from exporters.bundle import Bundle
    from pipeline.devices.device import Device

__all__ = ["check_fit"]


def check_fit(bundle: Bundle, device: Device) -> None:
    """Refuse a device that the bundle is not for, or that lacks what it needs.

    Raises:
        DeviceError: saying which, and what to do.
    """
    target = bundle.manifest["target"]
    if not is_sent(OPENERS[target]):
        raise DeviceError(
            f"engines for {target} are not measured on devices yet",
            where=device.name,
            fix="copy the bundle there and run its run.py",
        )
    wanted, found = bundle.manifest["machine"]["architectures"], device.facts.machine.architecture
    if found.lower() not in wanted:
        raise DeviceError(
            "this bundle is for another architecture",
            where=device.name,
            got=f"the device is {found}",
            expected=" or ".join(wanted),
            fix="make the bundle on a machine of the device's kind",
        )
    if missing := missing_for(device.facts, target_named(target).runtime):
        raise DeviceError(
            f"the device has no {' and no '.join(missing)}",
            where=device.name,
            fix=install_command(device.entry.address, device.entry.python, missing),
        )
