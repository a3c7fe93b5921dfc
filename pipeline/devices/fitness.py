"""Whether a target or a bundle can be measured on a device at all, asked before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.onnxruntime_wheels import GPU_WHEEL
from pipeline.catalog import OPENERS, target_named
from pipeline.devices.facts import RUNTIMES, how_to_install, is_older, missing_for, version_of
from pipeline.devices.measuring_code import is_sent
from pipeline.errors import DeviceError

if TYPE_CHECKING:
    from exporters.bundle import Bundle
    from exporters.target import Target
    from pipeline.devices.device import Device

__all__ = ["check_fit", "check_target", "target_lacks"]


def target_lacks(target: Target, device: Device) -> str | None:
    """None when engines of the target can be measured on the device; else why not, in one sentence."""
    if not is_sent(OPENERS[target.name]):
        return f"engines for {target.name} are not measured on devices yet"
    if missing := missing_for(device.facts, target.runtime):
        return f"the device has no {' and no '.join(missing)}"
    return device.facts.no_gpu if GPU_WHEEL in target.runtime else None


def check_target(target: Target, device: Device) -> None:
    """Refuse a device that lacks what a target's engines need.

    Raises:
        DeviceError: saying which, and what to do.
    """
    reason = target_lacks(target, device)
    if reason is None:
        return
    missing = missing_for(device.facts, target.runtime)
    if not is_sent(OPENERS[target.name]):
        fix = "copy the bundle there and run its run.py"
    elif missing:
        fix = how_to_install(device, missing, target.name)
    else:
        fix = "see that its driver works: nvidia-smi there; or name another target"
    raise DeviceError(reason, where=device.name, fix=fix)


def check_fit(bundle: Bundle, device: Device) -> None:
    """Refuse a device that the bundle is not for, or that lacks what it needs.

    Raises:
        DeviceError: saying which, and what to do.
    """
    wanted, found = bundle.manifest["machine"]["architectures"], device.facts.machine.architecture
    if found.lower() not in wanted:
        raise DeviceError(
            "this bundle is for another architecture",
            where=device.name,
            got=f"the device is {found}",
            expected=" or ".join(wanted),
            fix=f"make one for it: edgewright deploy MODEL --device {device.name}",
        )
    target = target_named(bundle.manifest["target"])
    check_target(target, device)
    for name, made_with in bundle.manifest["versions"].items():
        there = version_of(device.facts, name) if name in RUNTIMES else None
        if made_with and there and is_older(there, made_with):
            raise DeviceError(
                f"the device's {name} is older than the one that the bundle was made with",
                where=device.name,
                got=there,
                expected=f"{made_with}, or newer",
                fix=f"install it there, or make a bundle for it: edgewright deploy MODEL --device {device.name}",
            )
