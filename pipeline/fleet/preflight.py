"""What is looked at before anything is started: targets, devices and models that cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.auto import AUTO
from pipeline.catalog import target_named
from pipeline.devices.entries import HERE, device_entry
from pipeline.errors import UsageError
from pipeline.models.resolve import resolve_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.fleet.cells import Cell

__all__ = ["preflight"]


def preflight(cells: Sequence[Cell], *, elsewhere: bool) -> None:
    """See that every name is one that can be.

    Args:
        cells: Of the fleet.
        elsewhere: Whether they run on other machines, which may have files that are not here.

    Raises:
        UsageError: for a target, a device or a model that there is not.
    """
    for target in dict.fromkeys(cell.axes.target for cell in cells):
        if target != AUTO:
            target_named(target)
    for device in dict.fromkeys(cell.axes.device for cell in cells):
        if "://" in device:
            raise UsageError(
                "a fleet's devices have names: its page and folders would tell users and hosts",
                where="devices",
                got=device,
                fix=f"edgewright device add NAME {device}, and that name in the file",
            )
        if device != HERE:
            device_entry(device)
    for model in dict.fromkeys(cell.recipe.model for cell in cells):
        if not elsewhere:
            resolve_model(model)
