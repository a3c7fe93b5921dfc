"""Where a bundle comes from, in the form that supply-chain tools read: an in-toto statement with SLSA's provenance.

Sources: in-toto Attestation Framework, statement v1 (https://in-toto.io/Statement/v1), and SLSA v1.0, build provenance
(https://slsa.dev/provenance/v1). No time, place, host or user is in it: the same inputs give the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pipeline.artifact import FileEntry, Json

__all__ = ["PROVENANCE", "Step", "statement"]

PROVENANCE = "provenance.intoto.json"
"""Its file within a bundle."""

_BUILD_TYPE = "urn:edgewright:deploy:1"
_BUILDER = "urn:edgewright"
_IMAGES = "class names, and of every image its name, label and SHA-256, as canonical JSON"
_ARTIFACT = "kind, files with their SHA-256, and facts, as canonical JSON"
_FILE = "the file, and what it needs beside it"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One stage on the way to a bundle.

    Attributes:
        stage: Its name.
        decided_by: Everything that decided its result, as ``pipeline.chain.keys`` gathers it; of places only the names.
        sha256: Identity of the artifact it made.
    """

    stage: str
    decided_by: Mapping[str, Json]
    sha256: str


def statement(
    parameters: Mapping[str, Json],
    steps: Sequence[Step],
    files: Sequence[FileEntry],
    *,
    data: Mapping[str, Json],
    runtime: Mapping[str, str | None],
) -> dict[str, Json]:
    """The statement about the files of a bundle.

    Args:
        parameters: What was asked for besides the stages' own fields: model, task, target, precision.
        steps: The stages in their order.
        files: What the statement is about.
        data: Hash of each split of the images, by its name; other entries are passed over.
        runtime: Versions of what the device needs.
    """
    told = [
        {"stage": step.stage, **{name: step.decided_by[name] for name in ("version", "seed", "fields")}}
        for step in steps
    ]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": entry.path, "digest": {"sha256": entry.sha256}} for entry in files],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": _BUILD_TYPE,
                "externalParameters": {**parameters, "stages": told},
                "resolvedDependencies": [*_sources(steps, data), *_libraries(steps, runtime)],
            },
            "runDetails": {
                "builder": {"id": _BUILDER, "version": {"edgewright": __version__}},
                "byproducts": [_described(step.stage, step.sha256, _ARTIFACT) for step in steps],
            },
        },
    }


def _sources(steps: Iterable[Step], data: Mapping[str, Json]) -> list[dict[str, Json]]:
    """The model's file, the weights, the images and the teachers, each once."""
    found = [described for step in steps for described in _sources_of(step)]
    found += [_described(f"images: {name}", sha256, _IMAGES) for name, sha256 in data.items() if name != "name"]
    return list({(one["name"], one["digest"]["sha256"]): one for one in found}.values())


def _sources_of(step: Step) -> Iterator[dict[str, Json]]:
    subject: Mapping[str, Json] = step.decided_by["subject"]
    yield from _files("", subject)
    for split in ("train", "validation", "calibration"):
        if split in subject:
            yield _described(f"images: {split}", subject[split], _IMAGES)
    for number, teacher in enumerate(step.decided_by["teachers"], 1):
        yield _described(f"teacher {number}: answers", teacher["answers"], _ARTIFACT)
        if teacher["network"]:
            yield _described(f"teacher {number}: network", teacher["network"], _ARTIFACT)
            yield from _files(f"teacher {number}: ", {"model": teacher["source"]})


def _files(whose: str, subject: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    for part in ("model", "weights"):
        if part in subject and subject[part]["file_sha256"]:
            yield _described(f"{whose}{part}", subject[part]["file_sha256"], _FILE)


def _libraries(steps: Iterable[Step], runtime: Mapping[str, str | None]) -> list[dict[str, Json]]:
    """Python and every library that took part, with the version that did."""
    used = {name: version for step in steps for name, version in step.decided_by["versions"].items()} | dict(runtime)
    return [
        {
            "name": name,
            "uri": f"pkg:{'generic' if name == 'python' else 'pypi'}/{name}@{version}",
        }
        for name, version in sorted(used.items())
        if version
    ]


def _described(name: str, sha256: str, of: str) -> dict[str, Json]:
    return {"name": name, "digest": {"sha256": sha256}, "annotations": {"sha256 of": of}}
