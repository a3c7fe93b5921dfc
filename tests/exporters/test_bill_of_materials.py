"""What a bundle is made of and needs: valid by CycloneDX's own schema, and true."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from exporters.bill_of_materials import BILL_OF_MATERIALS
from exporters.bundle import Contents, write_bundle
from exporters.ort_cpu.target import ORT_CPU
from pipeline.artifact import sha256_of_file
from pipeline.environment import this_machine, versions

if TYPE_CHECKING:
    from pipeline.artifact import Artifact

_VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)


def _written(engine: Artifact, contents: Contents, out: Path) -> dict[str, Any]:
    root = write_bundle(engine, ORT_CPU, this_machine(), contents, out).root
    found: dict[str, Any] = json.loads((root / BILL_OF_MATERIALS).read_text(encoding="utf-8"))
    return found


def test_it_is_valid_by_the_schema(engine: Artifact, contents: Contents, tmp_path: Path) -> None:
    assumed = replace(contents, assumed=("mean 0.5",), provenance={"data": {"name": "photos", "test": "a" * 64}})
    for number, one in enumerate((contents, assumed)):
        found = _written(engine, one, tmp_path / str(number))
        assert _VALIDATOR.validate_str(json.dumps(found)) is None


def test_the_validator_sees_what_the_schema_does_not_know(engine: Artifact, contents: Contents, tmp_path: Path) -> None:
    found = _written(engine, contents, tmp_path / "bundle")
    found["metadata"]["component"]["modelCard"]["accuracy"] = "1"
    assert "accuracy" in str(_VALIDATOR.validate_str(json.dumps(found)))


def test_it_tells_the_model_what_it_needs_and_what_was_assumed(
    engine: Artifact, contents: Contents, tmp_path: Path
) -> None:
    data = {"name": "photos", "train": "a" * 64, "test": "b" * 64}
    told = replace(contents, assumed=("mean 0.5",), doubts=("near chance",), provenance={"data": data})
    found = _written(engine, told, tmp_path / "bundle")
    model = found["metadata"]["component"]
    (file,) = model["components"]
    assert file["hashes"] == [{"alg": "SHA-256", "content": sha256_of_file(tmp_path / "bundle" / "model.onnx")}]
    assert (model["type"], model["name"]) == ("machine-learning-model", "net.py:tiny")
    card = model["modelCard"]
    assert card["considerations"] == {"technicalLimitations": ["mean 0.5", "near chance"]}
    assert card["modelParameters"]["inputs"] == [{"format": "float32 1x3x16x16"}]
    (images,) = card["modelParameters"]["datasets"]
    assert (images["name"], [one["value"] for one in images["contents"]["properties"]]) == (
        "photos",
        ["a" * 64, "b" * 64],
    )
    needed = {one["name"]: one.get("version") for one in found["components"]}
    assert needed == versions(ORT_CPU.runtime)
    assert found["dependencies"][0]["dependsOn"] == [one["purl"] for one in found["components"]]


def test_another_bundle_has_another_serial_number(engine: Artifact, contents: Contents, tmp_path: Path) -> None:
    first = _written(engine, contents, tmp_path / "first")
    other = _written(engine, replace(contents, model="another"), tmp_path / "other")
    assert first["serialNumber"] != other["serialNumber"]
