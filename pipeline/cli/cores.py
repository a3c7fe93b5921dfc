"""The cores that ``--affinity`` names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipeline.devices.device import Device

__all__ = ["cores_named", "cores_of"]


def cores_named(text: str | None, usable: Collection[int] | None = None) -> tuple[int, ...]:
    """``0,1`` or ``0-3`` as core numbers; of those that are usable, by default for this process.

    Raises:
        UsageError: when it is neither, or names a core this process may not use.
    """
    from pipeline.errors import UsageError

    if text is None:
        return ()
    spans = []
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            spans.append((int(first), int(last if dash else first)))
    except ValueError as error:
        raise UsageError("not a list of cores", where=f"--affinity {text}", expected="such as 0,1 or 0-3") from error
    if usable is None:
        usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    # Ends first: a slip such as 0-100000000 must not be counted through.
    sound = all(low <= high <= max(usable) for low, high in spans)
    named = {core for low, high in spans for core in range(low, high + 1)} if sound else set()
    if not named or not named <= set(usable):
        raise UsageError(
            "cores that cannot be used here", where=f"--affinity {text}", expected=f"some of {sorted(usable)}"
        )
    return tuple(sorted(named))


def cores_of(text: str | None, device: Device | None) -> tuple[int, ...]:
    """The cores that were typed, of a device else those of its entry; empty for all.

    Raises:
        UsageError: when it is no list of cores, or they cannot be used there.
    """
    if device is None:
        return cores_named(text)
    typed = text or ",".join(map(str, device.entry.cores or ()))
    return cores_named(typed or None, device.facts.usable)
