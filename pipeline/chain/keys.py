"""What decides a stage's result, gathered into a key; and what changed between two keys, in the user's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.artifact import sha256_of_json
from pipeline.chain.followers import TRAINING_STAGES
from pipeline.environment import processes_together, python_version, versions
from pipeline.recipe.places import shortened_places

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.artifact import Json
    from pipeline.stage import Inputs, Stage, Teacher

__all__ = ["changes", "key_components", "key_of"]

_UNDRAWN = frozenset({"answers"})
"""Stages that draw nothing and look at each image alone: neither the seed nor the number of processes decides what they
give, and so a teacher is not asked again about the same images for another seed's student."""

_SCHEMA = 1
"""Raised when the meaning of a key changes; every cached stage then runs again."""


def key_components(stage: Stage, inputs: Inputs, *, seed: int) -> dict[str, Json]:
    """Everything that decides the result of ``stage`` on ``inputs``, as JSON.

    Places, times, host and user names are not in it: the same work elsewhere has the same key. The number of processes
    that train together is, since it multiplies the size of a step.
    """
    together = processes_together()
    drawn: dict[str, Json] = {} if stage.name in _UNDRAWN else {"seed": seed}
    if together > 1 and stage.name in TRAINING_STAGES - _UNDRAWN:
        drawn["processes"] = together
    return drawn | {
        "schema": _SCHEMA,
        "stage": stage.name,
        "version": stage.version,
        "fields": shortened_places(stage.model_dump(mode="json")),  # as the written recipe names a teacher's file
        "inputs": {str(kind): inputs.artifacts[kind].sha256 for kind in stage.takes},
        "teachers": [
            {
                "answers": teacher.answers.sha256,
                "network": teacher.network and teacher.network.artifact.sha256,
                "source": teacher.network and teacher.network.source.identity(),
                **_renormalised(teacher),
            }
            for teacher in inputs.teachers
        ],
        "subject": inputs.subject.restricted(stage.reads).identity(),
        "versions": {"python": python_version(), **versions(stage.pins)},
    }


def _renormalised(teacher: Teacher) -> dict[str, Json]:
    """How it wants what the student is fed; nothing where it wants that as it is."""
    change = teacher.renormalised
    return {} if change is None else {"renormalised": {"scale": [*change.scale], "offset": [*change.offset]}}


def key_of(components: Mapping[str, Json]) -> str:
    """The key: SHA-256 of the canonical components."""
    return sha256_of_json(dict(components))


def changes(before: Mapping[str, Json], now: Mapping[str, Json]) -> list[str]:
    """What differs, one line each: ``distill.epochs: 6 -> 8``."""
    old, new = dict(_leaves(before)), dict(_leaves(now))
    stage = str(now.get("stage", ""))
    lines = []
    for path in sorted(old.keys() | new.keys()):
        if (path in old, old.get(path)) == (path in new, new.get(path)) or _opened(path, old) or _opened(path, new):
            continue
        name = path.replace("fields.", f"{stage}.", 1) if path.startswith("fields.") else path
        was, is_now = (_short(leaves[path]) if path in leaves else "not there" for leaves in (old, new))
        lines.append(f"{name}: {was} -> {is_now}")
    return lines


def _opened(path: str, leaves: Mapping[str, Json]) -> bool:
    """Whether a section stands at ``path``, whose fields are told one by one."""
    return any(other.startswith(f"{path}.") for other in leaves)


def _leaves(value: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        value = dict(enumerate(value))
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _short(value: Json) -> str:
    text = "unset" if value is None else str(value)
    looks_like_hash = len(text) == 64 and all(character in "0123456789abcdef" for character in text)
    return text[:12] if looks_like_hash else text
