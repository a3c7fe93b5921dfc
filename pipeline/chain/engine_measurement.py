"""Measuring an engine for its row in the report: latency and memory in fresh processes, accuracy on the test split.

A measurement is kept in the store under everything that decides it, the machine among them, so that a second run of
the same thing on the same machine says what the first one found. Where the plan names a device, it is the machine.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.solo import FULL, QUICK, Profile, SoloRecord, measure_solo
from pipeline.artifact import sha256_of_json
from pipeline.catalog import OPENERS
from pipeline.data.dataset import rotating_samples
from pipeline.data.unchanged import refuse_changed
from pipeline.measuring.engine_inputs import engine_on_images
from pipeline.session import EngineSpec
from pipeline.tasks import Accuracy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporters.target import Target
    from pipeline.artifact import Artifact, Json
    from pipeline.chain.plan import Plan
    from pipeline.progress import Progress
    from pipeline.recipe import MeasureSection
    from pipeline.store import Store

__all__ = ["Measured", "loaded_size", "measure", "profile_of"]

_PROTOCOL = 5
_PROFILES = {"quick": QUICK, "full": FULL}


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What is known of an engine.

    Attributes:
        engine_sha256: Which artifact was measured.
        cached: Taken from the store rather than measured now.
    """

    engine_sha256: str
    solo: SoloRecord
    accuracy: Accuracy
    size_bytes: int
    cached: bool

    @property
    def p50_s(self) -> float:
        """The median latency, seconds."""
        value = self.solo.latency()[0]["p50"]
        assert value is not None  # noqa: S101 - every profile makes enough samples for the median
        return float(value)


def measure(
    engine: Artifact, target: Target, plan: Plan, store: Store, progress: Progress, *, anew: bool = False
) -> Measured:
    """Latency, memory and accuracy of an engine artifact, from the store where nothing that decides them changed.

    Args:
        engine: To measure.
        target: Of it.
        plan: With what, how much, and where.
        store: Keeps what was measured.
        progress: Told of the work.
        anew: Measure whatever is known, and keep that in its place.
    """
    parts = plan.parts
    spec = EngineSpec.from_json(engine.facts["engine"]).with_threads(plan.recipe.measure.threads)
    key = sha256_of_json(_components(engine, spec, target, plan))
    with store.exclusive(f"measure-{key}"):
        known = store.get_record("measurements", key)
        if known is not None and not anew:
            return _from_json(known, engine)
        solo = _solo(engine.root, spec, plan, progress)
        outputs = plan.place.collect_outputs(
            engine.root, spec, OPENERS[spec.target], parts.dataset.test, parts.preprocess, progress
        )
        placed = parts.task.in_images(outputs, parts.dataset.test, parts.preprocess)
        accuracy = parts.task.score(placed, parts.dataset.test)
        refuse_changed(parts.dataset.test)
        store.put_record("measurements", key, {"solo": solo.to_json(), "accuracy": accuracy.to_json()})
    return Measured(
        engine_sha256=engine.sha256, solo=solo, accuracy=accuracy, size_bytes=loaded_size(engine), cached=False
    )


def loaded_size(engine: Artifact) -> int:
    """Bytes of the files that the runtime loads of an engine."""
    loaded = EngineSpec.from_json(engine.facts["engine"]).loaded
    return sum(entry.size_bytes for entry in engine.files if entry.path in loaded)


def _components(engine: Artifact, spec: EngineSpec, target: Target, plan: Plan) -> Mapping[str, Json]:
    parts = plan.parts
    return {
        "protocol": _PROTOCOL,
        "engine": engine.sha256,
        "options": dict(spec.options),
        "machine": plan.place.identity,
        "settings": target.settings(),
        "profile": asdict(profile_of(plan.recipe.measure)),
        "test": parts.dataset.split_identity("test"),
        "preprocess": parts.preprocess.model_dump(mode="json"),
        "task": parts.task.identity(),
        "versions": dict(plan.place.versions(target.distributions)),
    }


def profile_of(section: MeasureSection) -> Profile:
    """The named profile with what the section sets itself."""
    own = {"processes": section.processes, "iterations": section.iterations}
    return replace(_PROFILES[section.profile], **{name: value for name, value in own.items() if value is not None})


def _solo(folder: Path, spec: EngineSpec, plan: Plan, progress: Progress) -> SoloRecord:
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        samples = rotating_samples(plan.parts.dataset.test)
        engine = engine_on_images(folder, spec, samples, plan.parts.preprocess, Path(scratch, "inputs.bin"))
        return measure_solo(engine, profile_of(plan.recipe.measure), progress, place=plan.place)


def _from_json(value: Mapping[str, Any], engine: Artifact) -> Measured:
    return Measured(
        engine_sha256=engine.sha256,
        solo=SoloRecord.from_json(value["solo"]),
        accuracy=Accuracy.from_json(value["accuracy"]),
        size_bytes=loaded_size(engine),
        cached=True,
    )
