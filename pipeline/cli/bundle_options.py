"""What the commands on finished bundles share: their options, and the images that a bundle is judged with."""

# No `from __future__ import annotations` here: see options.py.

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from exporters.bundle import Bundle
    from pipeline.data import Dataset
    from pipeline.devices.device import Device

__all__ = ["AFFINITY", "BUNDLE", "DATA", "THREADS", "check_there", "images_of"]

BUNDLE = typer.Argument(metavar="BUNDLE", help="Folder with a manifest.json.", show_default=False)
DATA = typer.Option("--data", help="Images to judge with; default: those the bundle was made with.")
THREADS = typer.Option("--threads", min=1, help="Threads of the runtime; default: as the bundle says.")
AFFINITY = typer.Option("--affinity", metavar="0,1", help="Cores to stay on.")


def images_of(bundle: "Bundle", data: str | None) -> "Dataset":
    """The images that were typed, else those the bundle was made with.

    Raises:
        EdgewrightError: where they cannot be had; see :func:`pipeline.measuring.bundle_images.images_for`.
    """
    from pipeline.cli.console import progress
    from pipeline.measuring.bundle_images import images_for
    from pipeline.store import Store, default_root

    return images_for(bundle, data, Store(default_root()), progress())


def check_there(device: "Device | None", *bundles: "Bundle") -> None:
    """Refuse bundles that cannot be run on a device.

    Raises:
        DeviceError: saying why, and what to do.
    """
    from pipeline.devices.fitness import check_fit

    if device is not None:
        for bundle in bundles:
            check_fit(bundle, device)
