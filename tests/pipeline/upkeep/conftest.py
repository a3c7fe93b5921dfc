"""A store with something of everything, as old as is wanted."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.artifact import ArtifactKind, sha256_of_file, sha256_of_json
from pipeline.store import KeyRecord, Store

if TYPE_CHECKING:
    from collections.abc import Callable

    Age = Callable[[Path, float], None]


def put(store: Store, stage: str, content: bytes) -> str:
    """Keep a stage's result; its identity."""
    with store.workspace() as folder:
        (folder / "model.onnx").write_bytes(content)
        artifact = store.commit(ArtifactKind.ENGINE, folder, {})
    components = {"stage": stage, "of": content.decode()}
    record = KeyRecord(artifact_sha256=artifact.sha256, components=components, wall_s=1.0, notes=())
    store.remember(sha256_of_json(components), record)
    return artifact.sha256


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """Its root: two results, a measurement, unfinished work, a data set and weights, used by nobody."""
    root = tmp_path / "cache"
    store = Store(root)
    put(store, "build", b"a" * 1000)
    put(store, "baseline", b"b" * 2000)
    store.put_record("measurements", "m" * 64, {"p50": 1})
    store.put_record("datasets", "d" * 64, {"source": "/there"})
    (root / "unfinished" / "k").mkdir(parents=True)
    (root / "unfinished" / "k" / "training.safetensors").write_bytes(bytes(500))
    weights = root / "data" / "weights" / "net.pth"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    weights.with_name("net.pth.sha256").write_text(sha256_of_file(weights) + "\n", encoding="ascii")
    (root / "data" / "datasets" / "digits-1").mkdir(parents=True)
    del store
    return root


@pytest.fixture
def age() -> Age:
    """Makes everything in a store as old as if it had last been used so many days ago."""

    def make(root: Path, days: float) -> None:
        then = time.time() - days * 86_400  # noqa: TID251 - the time of day, not a duration
        for path in root.rglob("*"):
            os.utime(path, (then, then))

    return make
