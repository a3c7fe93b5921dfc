"""The machine and the bundle as every report tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.workers.workplace import HERE
from pipeline.report.record import BundleEntry, MachineEntry

if TYPE_CHECKING:
    from benchmarks.workers.workplace import Workplace
    from exporters.bundle import Bundle

__all__ = ["bundle_entry", "called", "machine_entry"]

_REPORTED = ("torch", "torchvision", "onnx", "onnxruntime", "numpy", "pillow")


def called(place: Workplace) -> str | None:
    """How a report calls a device: by its name, but not by an address, which tells users and hosts; None for here."""
    return "a device" if place.name is not None and "://" in place.name else place.name


def machine_entry(place: Workplace = HERE) -> MachineEntry:
    """A machine, this one or another, as the report tells it."""
    machine = place.machine
    told = {"class": machine.machine_class, "device": called(place), "versions": dict(place.versions(_REPORTED))}
    return MachineEntry.model_validate({**machine.to_json(), **told})


def bundle_entry(bundle: Bundle) -> BundleEntry:
    """A bundle, by its place beside the report."""
    size = sum(path.stat().st_size for path in bundle.root.rglob("*") if path.is_file())
    return BundleEntry(path=bundle.root.name, sha256=bundle.sha256, size_bytes=size)
