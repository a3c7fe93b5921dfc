"""Where a bundle comes from: valid by in-toto's and SLSA's own definitions, complete, and of this bundle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage

from exporters.bundle import Contents, write_bundle
from exporters.ort_cpu.target import ORT_CPU
from exporters.provenance import PROVENANCE
from pipeline import __version__
from pipeline.environment import this_machine, versions
from pipeline.stages.baseline import Baseline

if TYPE_CHECKING:
    from pipeline.artifact import Artifact, Json
    from pipeline.subject import Parts


def _written(engine: Artifact, contents: Contents, out: Path) -> dict[str, Any]:
    root = write_bundle(engine, ORT_CPU, this_machine(), contents, out).root
    found: dict[str, Any] = json.loads((root / PROVENANCE).read_text(encoding="utf-8"))
    return found


def _digests(statement: dict[str, Any]) -> dict[str, str]:
    sources = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    return {one["name"]: one["digest"]["sha256"] for one in sources if "digest" in one}


def test_it_is_valid_by_the_definitions_of_in_toto_and_slsa(
    engine: Artifact, contents: Contents, tmp_path: Path
) -> None:
    found = _written(engine, contents, tmp_path / "bundle")
    message = json_format.ParseDict(found, StatementMessage())
    Statement.copy_from_pb(message).validate()
    predicate = json_format.ParseDict(found["predicate"], Provenance())  # a key that SLSA has not, or has elsewhere
    assert (found["predicateType"], predicate.run_details.builder.id) == (
        "https://slsa.dev/provenance/v1",
        "urn:edgewright",
    )
    described = (*predicate.build_definition.resolved_dependencies, *predicate.run_details.byproducts)
    for one in described:
        ResourceDescriptor.copy_from_pb(one).validate()
    assert len(described) > 5


def test_a_key_that_slsa_has_not_would_be_seen(engine: Artifact, contents: Contents, tmp_path: Path) -> None:
    found = _written(engine, contents, tmp_path / "bundle")
    found["predicate"]["buildDefinition"]["recipe"] = {}
    with pytest.raises(json_format.ParseError, match="recipe"):
        json_format.ParseDict(found["predicate"], Provenance())


def test_it_is_about_every_file_but_the_manifest_and_itself(
    engine: Artifact, contents: Contents, tmp_path: Path
) -> None:
    found = _written(engine, contents, tmp_path / "bundle")
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text(encoding="utf-8"))
    subjects = {one["name"]: one["digest"]["sha256"] for one in found["subject"]}
    assert subjects == {one["path"]: one["sha256"] for one in manifest["files"] if one["path"] != PROVENANCE}


def test_it_tells_recipe_sources_and_versions(
    engine: Artifact, contents: Contents, session_parts: Parts, tmp_path: Path
) -> None:
    found = _written(engine, contents, tmp_path / "bundle")["predicate"]
    asked = found["buildDefinition"]["externalParameters"]
    assert {key: asked[key] for key in ("model", "task", "target", "precision")} == {
        "model": "net.py:tiny", "task": "classification", "target": "ort-cpu", "precision": "int8",
    }  # fmt: skip
    (stage,) = asked["stages"]
    assert (stage["stage"], stage["seed"], stage["fields"]) == ("baseline", 7, Baseline().model_dump(mode="json"))
    sources = _digests({"predicate": found})
    assert sources["model"] == session_parts.model.file_sha256
    assert sources["images: train"] == session_parts.dataset.split_identity("train")
    uris = {one["uri"] for one in found["buildDefinition"]["resolvedDependencies"] if "uri" in one}
    assert {f"pkg:pypi/{name}@{version}" for name, version in versions(("torch", "onnxruntime")).items()} <= uris
    assert found["runDetails"]["builder"]["version"] == {"edgewright": __version__}
    assert [(one["name"], one["digest"]["sha256"]) for one in found["runDetails"]["byproducts"]] == [
        ("baseline", "0" * 64)
    ]


def _with(contents: Contents, **changed: Json) -> Contents:
    (step,) = contents.steps
    return replace(contents, steps=(replace(step, decided_by={**step.decided_by, **changed}),))


def test_another_source_is_another_provenance(engine: Artifact, contents: Contents, tmp_path: Path) -> None:
    subject = contents.steps[0].decided_by["subject"]
    weights = {**subject, "weights": {"origin": "file", "file_sha256": "a" * 64}}
    teacher = {"answers": "b" * 64, "network": "c" * 64, "source": {"origin": "file", "file_sha256": "d" * 64}}
    before = _digests(_written(engine, contents, tmp_path / "before"))
    after = _digests(_written(engine, _with(contents, subject=weights, teachers=[teacher]), tmp_path / "after"))
    assert dict(after.items() - before.items()) == {
        "weights": "a" * 64,
        "teacher 1: answers": "b" * 64,
        "teacher 1: network": "c" * 64,
        "teacher 1: model": "d" * 64,
    }
