"""What a bundle is made of and needs, as a CycloneDX bill of materials with a model card.

Source: CycloneDX 1.6, ECMA-424 (https://cyclonedx.org/docs/1.6/json/). The library that writes such bills has no model
cards, so this one is written as the JSON it is. No time is in it, and no measured figure: those belong to a machine,
and stand in the report.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from pipeline import __version__
from pipeline.artifact import sha256_of_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.artifact import FileEntry, Json
    from pipeline.session import EngineSpec, TensorSpec

__all__ = ["BILL_OF_MATERIALS", "bill_of_materials"]

BILL_OF_MATERIALS = "bom.cdx.json"
"""Its file within a bundle."""

_MODEL = "model"


def bill_of_materials(
    described: Mapping[str, str],
    spec: EngineSpec,
    files: Sequence[FileEntry],
    *,
    data: Mapping[str, Json],
    runtime: Mapping[str, str | None],
    limits: Sequence[str],
) -> dict[str, Json]:
    """The bill.

    Args:
        described: ``model``, ``task``, ``target`` and ``precision``.
        spec: Says what goes in and comes out.
        files: What the runtime loads.
        data: ``name`` of the images and the hash of each split.
        runtime: Versions of what the device needs.
        limits: What was assumed or is doubted, and the accuracy rests on.
    """
    libraries = [_library(name, version) for name, version in runtime.items()]
    bill: dict[str, Json] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "edgewright", "version": __version__}]},
            "component": {
                "type": "machine-learning-model",
                "bom-ref": _MODEL,
                "name": described["model"],
                "components": [
                    {
                        "type": "file",
                        "bom-ref": f"file:{entry.path}",
                        "name": entry.path,
                        "hashes": [{"alg": "SHA-256", "content": entry.sha256}],
                    }
                    for entry in files
                ],
                "modelCard": _card(described, spec, data, limits),
                "properties": _properties({name: described[name] for name in ("target", "precision")}),
            },
        },
        "components": libraries,
        "dependencies": [
            {"ref": _MODEL, "dependsOn": [library["bom-ref"] for library in libraries]},
            *({"ref": library["bom-ref"]} for library in libraries),
        ],
    }
    return {**bill, "serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, sha256_of_json(bill)).urn}


def _library(name: str, version: str | None) -> dict[str, Json]:
    purl = f"pkg:pypi/{name}" + (f"@{version}" if version else "")
    known = {"version": version} if version else {}
    return {"type": "library", "bom-ref": purl, "name": name, **known, "purl": purl, "scope": "required"}


def _card(
    described: Mapping[str, str], spec: EngineSpec, data: Mapping[str, Json], limits: Sequence[str]
) -> dict[str, Json]:
    hashes = {f"{split}:sha256": sha256 for split, sha256 in data.items() if split != "name"}
    name = data.get("name", "images")
    images = {"type": "dataset", "name": name, "contents": {"properties": _properties(hashes)}}
    told = {"considerations": {"technicalLimitations": list(limits)}} if limits else {}
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": described["task"],
            "modelArchitecture": described["model"],
            "datasets": [images],
            "inputs": [{"format": _format(spec.input)}],
            "outputs": [{"format": _format(output)} for output in spec.outputs],
        },
        **told,
    }


def _format(tensor: TensorSpec) -> str:
    return f"{tensor.dtype} {'x'.join(str(side) for side in tensor.shape)}"


def _properties(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": f"edgewright:{name}", "value": value} for name, value in values.items()]
