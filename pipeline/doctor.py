"""What this machine can build and run, what is missing for the rest, and the command that installs it."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.workers.workplace import HERE
from exporters.onnxruntime_wheels import mixture
from pipeline import __version__
from pipeline.catalog import TARGETS, target_named
from pipeline.environment import this_machine, usable_cores, versions
from pipeline.gpu import Gpu, gpu_or_reason
from pipeline.store import default_root

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.workers.workplace import Workplace

__all__ = ["Checkup", "TargetState", "examine", "state_of_target"]

_LIBRARIES = ("torch", "torchvision", "onnx", "onnxruntime", "onnxruntime-gpu", "openvino", "timm")
_EVERYWHERE = frozenset({"numpy", "pillow"})
_LITTLE_DISK_BYTES = 5 << 30
_GIB = 1 << 30


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetState:
    """What can be done for a target here.

    Attributes:
        versions: Of those distributions its engines need that are installed.
        missing: What keeps it from being built, with the command that helps; None when nothing does.
        cannot_run: What keeps its engines from being run; None when nothing does.
    """

    name: str
    description: str
    precisions: tuple[str, ...]
    versions: dict[str, str]
    missing: str | None
    cannot_run: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkup:
    """The machine and all targets.

    Attributes:
        machine: Name to value, as printed.
        libraries: Distribution to version, of those that are installed.
        targets: In the order of the catalog.
        troubles: What should be mended, each with the command.
    """

    machine: dict[str, str]
    libraries: dict[str, str]
    targets: tuple[TargetState, ...]
    troubles: tuple[str, ...]


def examine() -> Checkup:
    """Look; nothing heavy is imported and nothing is changed."""
    store = default_root()
    free = shutil.disk_usage(_nearest_existing(store)).free
    troubles = [trouble for trouble in (mixture(), _little_disk(store, free)) if trouble]
    return Checkup(
        machine=_machine(store, free),
        libraries=_installed(_LIBRARIES),
        targets=tuple(state_of_target(name) for name in TARGETS),
        troubles=tuple(troubles),
    )


def _machine(store: Path, free: int) -> dict[str, str]:
    machine, gpu = this_machine(), gpu_or_reason()
    usable, all_cores = usable_cores(), os.cpu_count() or usable_cores()
    cores = f"{usable}" if usable == all_cores else f"{usable} of {all_cores}: this process is kept to those"
    return {
        "edgewright": f"{__version__}, Python {platform.python_version()}, {machine.system} {machine.architecture}",
        "CPU": machine.cpu,
        "instructions": " ".join(machine.isa) or "none of those that matter",
        "cores": cores,
        "memory": f"{machine.ram_gib} GiB",
        "GPU": _gpu(gpu) if isinstance(gpu, Gpu) else gpu,
        "store": f"{store}, {free / _GIB:.0f} GiB free",
    }


def _gpu(gpu: Gpu) -> str:
    return f"{gpu.name} ({gpu.capability}), {gpu.memory_bytes / _GIB:.0f} GiB, driver {gpu.driver}"


def _installed(distributions: tuple[str, ...]) -> dict[str, str]:
    return {name: found for name, found in versions(distributions).items() if found is not None}


def state_of_target(name: str, place: Workplace = HERE) -> TargetState:
    """What can be done for the target of that name: built here, and run in a place."""
    target = target_named(name).for_machine(place.machine)
    needed = tuple(name for name in target.runtime if name not in _EVERYWHERE)
    found = place.versions(needed)
    return TargetState(
        name=name,
        description=target.description,
        precisions=target.precisions,
        versions={one: version for one in needed if (version := found[one]) is not None},
        missing=target.missing(),
        cannot_run=place.cannot_run(target),
    )


def _little_disk(store: Path, free: int) -> str | None:
    if free >= _LITTLE_DISK_BYTES:
        return None
    return (
        f"{free / _GIB:.1f} GiB are free for the store, a run may need {_LITTLE_DISK_BYTES / _GIB:.0f}: "
        f"free some below {store}, or put it elsewhere with EDGEWRIGHT_CACHE"
    )


def _nearest_existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())
