"""What a search decided, kept in the store like a stage's result, under everything it depended on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pipeline.artifact import ArtifactKind, canonical_json
from pipeline.chain.keys import key_of
from pipeline.store import KeyRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.artifact import Json
    from pipeline.store import Store

__all__ = ["keep", "kept"]

_FILE = "decision.json"


def kept(components: Mapping[str, Json], store: Store) -> dict[str, Any] | None:
    """What an earlier run decided about exactly this, as JSON, or None."""
    record = store.recall(key_of(components))
    artifact = None if record is None else store.find(record.artifact_sha256)
    if artifact is None:
        return None
    value: dict[str, Any] = json.loads(artifact.path(_FILE).read_text(encoding="utf-8"))
    return value


def keep(components: Mapping[str, Json], value: Mapping[str, Json], store: Store, *, wall_s: float) -> None:
    """Keep a decision.

    Args:
        components: What it depended on.
        value: It, as JSON.
        store: Where.
        wall_s: How long it took, seconds.
    """
    with store.workspace() as folder:
        (folder / _FILE).write_text(canonical_json(dict(value)) + "\n", encoding="utf-8")
        artifact = store.commit(ArtifactKind.DECISION, folder, {})
    record = KeyRecord(artifact_sha256=artifact.sha256, components=components, wall_s=wall_s, notes=())
    store.remember(key_of(components), record)
