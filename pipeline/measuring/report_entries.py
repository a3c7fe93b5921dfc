"""The machine and the bundle as every report tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.environment import this_machine, versions
from pipeline.report.record import BundleEntry, MachineEntry

if TYPE_CHECKING:
    from exporters.bundle import Bundle

__all__ = ["bundle_entry", "machine_entry"]

_REPORTED = ("torch", "torchvision", "onnx", "onnxruntime", "numpy", "pillow")


def machine_entry() -> MachineEntry:
    """This machine, as the report tells it."""
    machine = this_machine()
    return MachineEntry.model_validate(
        {**machine.to_json(), "class": machine.machine_class, "versions": versions(_REPORTED)}
    )


def bundle_entry(bundle: Bundle) -> BundleEntry:
    """A bundle, by its place beside the report."""
    size = sum(path.stat().st_size for path in bundle.root.rglob("*") if path.is_file())
    return BundleEntry(path=bundle.root.name, sha256=bundle.sha256, size_bytes=size)
