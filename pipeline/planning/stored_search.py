"""What a search decided, kept in the store like a stage's result, under everything it depended on."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, TypeVar

from pydantic import TypeAdapter

from pipeline.artifact import ArtifactKind, canonical_json
from pipeline.chain.keys import key_of
from pipeline.recipe import MeasureSection
from pipeline.store import KeyRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exporters.target import Target
    from pipeline.artifact import Artifact, Json
    from pipeline.chain.plan import Plan
    from pipeline.data.dataset import SplitName
    from pipeline.store import Store

__all__ = ["as_json", "from_json", "keep", "kept", "once", "search_components"]

_FILE = "decision.json"
_Record = TypeVar("_Record")


def as_json(record: object) -> dict[str, Json]:
    """A dataclass, with all within it, as JSON."""
    value: dict[str, Json] = TypeAdapter(type(record)).dump_python(record, mode="json")
    return value


def from_json(kind: type[_Record], value: object) -> _Record:
    """Inverse of :func:`as_json`.

    Raises:
        ValueError: when it is none of that kind.
    """
    return TypeAdapter(kind).validate_python(value)


def search_components(
    plan: Plan,
    target: Target,
    artifact: Artifact,
    *,
    sections: Sequence[str],
    splits: Sequence[SplitName],
) -> dict[str, Json]:
    """What every search depends on, the machine that measured among it; see ``key_components``.

    Args:
        plan: Of the run.
        target: Where it is measured.
        artifact: What is searched about.
        sections: Of the recipe.
        splits: Of the data set.
    """
    # So many students and examples are shown whatever was decided; as their defaults, since so it is written in stores.
    shown = {name: MeasureSection.model_fields[name].default for name in ("examples", "seeds")}
    recipe = plan.recipe.model_copy(update={"measure": plan.recipe.measure.model_copy(update=shown)})
    parts = plan.parts
    return {
        **{section: getattr(recipe, section).model_dump(mode="json") for section in sections},
        "seed": recipe.seed,
        "inputs": {str(artifact.kind): artifact.sha256},
        "target": target.name,
        "machine": plan.place.identity,
        "subject": {
            **{split: parts.dataset.split_identity(split) for split in splits},
            "preprocess": parts.preprocess.model_dump(mode="json"),
        },
        "versions": dict(plan.place.versions(target.distributions)),
    }


def once(kind: type[_Record], components: Mapping[str, Json], store: Store, search: Callable[[], _Record]) -> _Record:
    """What an earlier run decided about exactly this; else what the search finds, which is kept.

    Args:
        kind: Of the record, a dataclass.
        components: What it depends on.
        store: Where it is kept.
        search: Decides.
    """
    with store.exclusive(key_of(components)):
        known = kept(kind, components, store)
        if known is not None:
            return known
        start = time.perf_counter()
        found = search()
        keep(components, found, store, wall_s=time.perf_counter() - start)
    return found


def kept(kind: type[_Record], components: Mapping[str, Json], store: Store) -> _Record | None:
    """What an earlier run decided about exactly this, or None."""
    record = store.recall(key_of(components))
    artifact = None if record is None else store.find(record.artifact_sha256)
    if artifact is None:
        return None
    return from_json(kind, json.loads(artifact.path(_FILE).read_text(encoding="utf-8")))


def keep(components: Mapping[str, Json], found: object, store: Store, *, wall_s: float) -> None:
    """Keep a decision.

    Args:
        components: What it depended on.
        found: It, a dataclass.
        store: Where.
        wall_s: How long it took, seconds.
    """
    with store.workspace() as folder:
        (folder / _FILE).write_text(canonical_json(as_json(found)) + "\n", encoding="utf-8")
        artifact = store.commit(ArtifactKind.DECISION, folder, {})
    record = KeyRecord(artifact_sha256=artifact.sha256, components=components, wall_s=wall_s, notes=())
    store.remember(key_of(components), record)
