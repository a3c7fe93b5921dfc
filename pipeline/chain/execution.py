"""Running one stage, or taking it from the store; and checking that it did what it declared."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from pipeline.artifact import FLOAT_MODEL, Artifact, ArtifactKind, FileEntry
from pipeline.chain.followers import call_followers
from pipeline.chain.keys import key_components, key_of
from pipeline.data.unchanged import refuse_changed
from pipeline.errors import ContractError
from pipeline.stage import Inputs, Workspace
from pipeline.store import KeyRecord, foreign_disk_errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.artifact import Json
    from pipeline.progress import Progress
    from pipeline.stage import Stage
    from pipeline.store import Store

__all__ = ["FILES_OF_KIND", "StageResult", "cached", "execute"]

FILES_OF_KIND: dict[ArtifactKind, frozenset[str]] = {
    ArtifactKind.ANSWERS: frozenset({"answers.safetensors"}),
    ArtifactKind.NETWORK: frozenset({"architecture.json", "weights.safetensors"}),
    ArtifactKind.CALIBRATION: frozenset({FLOAT_MODEL, "ranges.json", "means.safetensors"}),
    ArtifactKind.ONNX: frozenset({FLOAT_MODEL}),
    ArtifactKind.DECISION: frozenset({"decision.json"}),
    ArtifactKind.ENGINE: frozenset(),
}
"""Files an artifact of each kind holds at least."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageResult:
    """A stage's artifact and how it came about.

    Attributes:
        status: ``ran`` now, or ``cached``: taken from the store.
        wall_s: How long it took when it ran, seconds.
        decided_by: What its key was made of.
    """

    stage: str
    artifact: Artifact
    status: Literal["ran", "cached"]
    wall_s: float
    notes: tuple[str, ...]
    decided_by: Mapping[str, Json]


def cached(stage: Stage, inputs: Inputs, store: Store, *, seed: int) -> StageResult | None:
    """The stored result for exactly these inputs, or None: then the stage has to run."""
    record = store.recall(key_of(key_components(stage, inputs, seed=seed)))
    if record is None:
        return None
    artifact = store.find(record.artifact_sha256)
    if artifact is None:
        return None
    return _result(stage, artifact, "cached", record)


def execute(
    stage: Stage, inputs: Inputs, store: Store, *, seed: int, progress: Progress, fresh: set[str] | None = None
) -> StageResult:
    """The stage's result: from the store when nothing that decides it changed, else by running it.

    Args:
        stage: Which.
        inputs: More than it needs is kept from it.
        store: Where results are looked up and kept.
        seed: Of its randomness.
        progress: Told of its work.
        fresh: Keys of what this run made itself; added to, and what is in it counts as run rather than cached.

    Raises:
        ContractError: when the stage did not do what it declared.
        DataError: when images that it reads changed meanwhile; nothing is kept then.
    """
    inputs = Inputs(
        artifacts={kind: inputs.artifacts[kind] for kind in stage.takes},
        subject=inputs.subject.restricted(stage.reads),
        teachers=inputs.teachers,
    )
    components = key_components(stage, inputs, seed=seed)
    key = key_of(components)
    with store.exclusive(key):
        known = cached(stage, inputs, store, seed=seed)
        if known is not None:
            store.drop_kept(key)
            return replace(known, status="ran") if fresh and key in fresh else known
        with store.workspace() as folder, store.kept(key) as kept:
            start = time.perf_counter()
            call_followers(stage, inputs, seed=seed, kept=kept)
            with (
                foreign_disk_errors(folder),
                progress.track(stage.name, 0),
            ):  # moves where the stage itself has nothing to count
                made = stage.run(inputs, Workspace(folder=folder, seed=seed, progress=progress, kept=kept))
            _verify(stage, inputs, folder)
            refuse_changed(inputs.subject.images())
            artifact = store.commit(stage.gives, folder, made.facts)
            wall_s = time.perf_counter() - start
            record = KeyRecord(artifact_sha256=artifact.sha256, components=components, wall_s=wall_s, notes=made.notes)
            store.remember(key, record)  # within: what is kept for the next run goes once none needs it
        if fresh is not None:
            fresh.add(key)
    return _result(stage, artifact, "ran", record)


def _result(stage: Stage, artifact: Artifact, status: Literal["ran", "cached"], record: KeyRecord) -> StageResult:
    return StageResult(
        stage=stage.name,
        artifact=artifact,
        status=status,
        wall_s=record.wall_s,
        notes=record.notes,
        decided_by=record.components,
    )


def _verify(stage: Stage, inputs: Inputs, folder: Path) -> None:
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    lacking = FILES_OF_KIND[stage.gives] - present
    if lacking or not present:
        raise ContractError(
            f"stage {stage.name!r} declared a {stage.gives} artifact and did not write it",
            got=", ".join(sorted(present)) or "no file",
            expected=", ".join(sorted(FILES_OF_KIND[stage.gives])),
        )
    taught_by = (artifact for teacher in inputs.teachers for artifact in teacher.artifacts)
    for artifact in (*inputs.artifacts.values(), *taught_by):
        for entry in artifact.files:
            path = artifact.root / entry.path
            if not path.is_file() or FileEntry.of(artifact.root, path) != entry:
                raise ContractError(f"stage {stage.name!r} changed its input", where=str(artifact.root / entry.path))
