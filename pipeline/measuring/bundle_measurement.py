"""Measuring a bundle alone: how fast, how large in memory, how accurate it is on this machine or on a device."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.solo import SoloRecord, measure_solo
from benchmarks.workers.workplace import HERE
from pipeline import __version__
from pipeline.artifact import sha256_of_json
from pipeline.catalog import target_named, task_of
from pipeline.data.dataset import rotating_samples
from pipeline.devices.fitness import check_fit
from pipeline.environment import Machine, this_machine, versions
from pipeline.measuring.engine_inputs import engine_on_images
from pipeline.measuring.report_entries import called

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.engine import Engine
    from benchmarks.solo import Profile
    from benchmarks.workers.workplace import Workplace
    from exporters.bundle import Bundle
    from pipeline.artifact import Json
    from pipeline.data import Dataset
    from pipeline.devices.device import Device
    from pipeline.progress import Progress
    from pipeline.tasks import Accuracy

__all__ = ["BundleMeasurement", "engine_of", "loaded_bytes", "measure_bundle", "score_bundle"]

_LIBRARIES = ("numpy", "pillow")


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleMeasurement:
    """What a bundle is on a machine.

    Attributes:
        solo: Raw samples and their conditions.
        accuracy: Over the whole test split.
        test_images: Identity of that split.
        machine: Where all of it was measured.
        software: Versions of what ran there.
        device: What the user calls that machine; None for the one this runs on.
        doubts: What makes the device's figures vary.
    """

    bundle: Bundle
    solo: SoloRecord
    accuracy: Accuracy
    test_images: str
    machine: Machine
    software: Mapping[str, str | None]
    device: str | None = None
    doubts: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """The record: raw samples and all that is needed to repeat them; its ``id`` is a hash over the rest."""
        manifest = self.bundle.manifest
        body: dict[str, Any] = {
            "schema": "edgewright.bundle-measurement/1",
            "edgewright": __version__,
            "subject": {
                "bundle_sha256": self.bundle.sha256,
                "model": manifest["model"],
                "target": manifest["target"],
                "precision": manifest["precision"],
                "size_bytes": loaded_bytes(self.bundle),
                "engine": self.bundle.spec.to_json(),
                "test_images": self.test_images,
            },
            "device": self.device,
            "machine": {**self.machine.to_json(), "class": self.machine.machine_class},
            "software": dict(self.software),
            "measurement": self.solo.to_json(),
            "accuracy": {"metric": self.accuracy.metric, "value": self.accuracy.value, "n": self.accuracy.n},
        }
        return {"id": sha256_of_json(body), **body}


def measure_bundle(  # noqa: PLR0913 - what, on what, how, where
    bundle: Bundle,
    dataset: Dataset,
    profile: Profile,
    progress: Progress,
    *,
    threads: int | None = None,
    affinity: tuple[int, ...] = (),
    device: Device | None = None,
) -> BundleMeasurement:
    """Measure in fresh processes, then score the test split.

    Args:
        bundle: Verified.
        dataset: Whose test split is scored and, in part, timed.
        profile: How much.
        progress: Told of the work.
        threads: Of the runtime; None: as the bundle says.
        affinity: Cores to stay on; empty for all.
        device: Where, connected; None: on this machine.

    Raises:
        DeviceError: when the device cannot run the bundle, or was lost.
    """
    if device is not None:
        check_fit(bundle, device)
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        engine = engine_of(bundle, dataset, Path(scratch, "inputs.bin"), threads=threads)
        solo = measure_solo(engine, profile, progress, affinity=affinity, place=device or HERE)
    accuracy = score_bundle(bundle, dataset, progress, engine=engine, place=device or HERE)
    distributions = (*target_named(bundle.manifest["target"]).distributions, *_LIBRARIES)
    return BundleMeasurement(
        bundle=bundle,
        solo=solo,
        accuracy=accuracy,
        test_images=dataset.split_identity("test"),
        machine=device.machine if device else this_machine(),
        software=device.facts.versions if device else versions(distributions),
        device=called(device) if device else None,
        doubts=tuple(device.doubts()) if device else (),
    )


def engine_of(bundle: Bundle, dataset: Dataset, inputs: Path, *, threads: int | None) -> Engine:
    """The bundle's engine with real inputs, which are written to ``inputs``."""
    spec = bundle.spec.with_threads(threads)
    return engine_on_images(bundle.root, spec, rotating_samples(dataset.test), bundle.preprocess, inputs)


def score_bundle(
    bundle: Bundle, dataset: Dataset, progress: Progress, *, engine: Engine, place: Workplace = HERE
) -> Accuracy:
    """Accuracy over the test split, the outputs brought into the order of the data set's classes."""
    task = task_of(bundle.manifest)
    outputs = place.collect_outputs(bundle.root, engine.spec, engine.opener, dataset.test, bundle.preprocess, progress)
    ordered = task.in_order(outputs, bundle.classes, dataset.classes)
    return task.score(task.in_images(ordered, dataset.test, bundle.preprocess), dataset.test)


def loaded_bytes(bundle: Bundle) -> int:
    """Bytes of what the runtime loads, without the texts around it."""
    return sum(entry["size_bytes"] for entry in bundle.manifest["files"] if entry["path"] in bundle.spec.loaded)
