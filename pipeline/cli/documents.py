"""What ``--json`` prints: one document a command, each with its own schema name, published under docs/schema.

A document says what the command's text says, for programs: seconds and bytes, null with a reason where nothing is
known. Fields are added under the same name; one that goes or changes its meaning raises the number in it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from pipeline.gate.baselines.history import HistoryLine  # noqa: TC001 - pydantic reads it
from pipeline.measuring.bundle_measurement import loaded_bytes
from pipeline.report.record import AccuracyFigure, Latency, Memory
from pipeline.upkeep.contents import ItemKind  # noqa: TC001 - pydantic reads it

if TYPE_CHECKING:
    from pipeline.doctor import TargetState
    from pipeline.measuring.bundle_measurement import BundleMeasurement

__all__ = [
    "BaselineCase",
    "BaselinesDocument",
    "ColdStart",
    "DamagedEntry",
    "DoctorDocument",
    "Document",
    "ExplainDocument",
    "ExplainedStage",
    "MeasureDocument",
    "ModelsDocument",
    "StoreCheckDocument",
    "StoreDocument",
    "StoreEntry",
    "StoreGcDocument",
    "TargetEntry",
    "TargetsDocument",
    "VerifyDocument",
    "document_schema",
    "measure_document",
    "print_document",
    "target_entry",
]


class Document(BaseModel):
    """The base of all of them and of their parts."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ModelsDocument(Document):
    """``edgewright models --json``."""

    schema_: Literal["edgewright.models/1"] = Field(default="edgewright.models/1", alias="schema")
    torchvision: tuple[str, ...]
    timm: tuple[str, ...] = Field(description="with their prefix; empty where timm is not installed")
    yolo: tuple[str, ...] = Field(description="with their prefix")


class TargetEntry(Document):
    """A target on this machine."""

    name: str
    description: str
    precisions: tuple[str, ...]
    versions: dict[str, str] = Field(description="of the distributions it needs, those that are installed")
    missing: str | None = Field(description="what keeps it from being built here; null when nothing does")
    cannot_run: str | None = Field(description="what keeps its engines from running here; null when nothing does")


class TargetsDocument(Document):
    """``edgewright targets --json``."""

    schema_: Literal["edgewright.targets/1"] = Field(default="edgewright.targets/1", alias="schema")
    targets: tuple[TargetEntry, ...]


class DoctorDocument(Document):
    """``edgewright doctor --json``."""

    schema_: Literal["edgewright.doctor/1"] = Field(default="edgewright.doctor/1", alias="schema")
    machine: dict[str, str]
    libraries: dict[str, str]
    targets: tuple[TargetEntry, ...]
    troubles: tuple[str, ...] = Field(description="what should be mended, each with the command")


class VerifyDocument(Document):
    """``edgewright verify BUNDLE --json``; of a damaged bundle there is none, and the exit code is 6."""

    schema_: Literal["edgewright.verified/1"] = Field(default="edgewright.verified/1", alias="schema")
    sha256: str
    model: str
    target: str
    precision: str
    files: int = Field(description="that the manifest names, all of them as it says")
    signer: str | None = Field(description="SHA-256 of the public key that the signature names; null without one")
    signature_checked: bool = Field(description="whether the signature was checked, by --require-signature")


class ColdStart(Document):
    """The medians over the processes, seconds."""

    import_s: float = Field(description="of the runtime")
    load_s: float
    first_s: float = Field(description="the first inference")


class MeasureDocument(Document):
    """``edgewright measure BUNDLE --json``; all samples are in the record that ``--out`` writes."""

    schema_: Literal["edgewright.measured/1"] = Field(default="edgewright.measured/1", alias="schema")
    sha256: str
    model: str
    target: str
    precision: str
    device: str | None = Field(
        description="where it was measured, as the user calls it, an address as a device; null for this machine"
    )
    machine_class: str
    size_bytes: int = Field(description="of what the runtime loads")
    latency_s: Latency
    cold_start: ColdStart
    memory_bytes: Memory
    accuracy: AccuracyFigure
    conditions: dict[str, object] = Field(description="what was in force: runtime, threads and the like")
    withheld: tuple[str, ...] = Field(description="why a figure is null")
    warnings: tuple[str, ...]


class ExplainedStage(Document):
    """What would happen to a stage."""

    stage: str
    status: Literal["cached", "would run", "skipped"]
    reasons: tuple[str, ...]


class ExplainDocument(Document):
    """``edgewright explain MODEL --json``."""

    schema_: Literal["edgewright.explained/1"] = Field(default="edgewright.explained/1", alias="schema")
    stages: tuple[ExplainedStage, ...]


class BaselineCase(Document):
    """What was accepted for one case, the newest last."""

    case: str = Field(description="model, target and input; of a class of devices devices/CLASS/ and these")
    accepted: tuple[HistoryLine, ...] = Field(description="with --history all of them, else the current one")


class BaselinesDocument(Document):
    """``edgewright baseline list --json``."""

    schema_: Literal["edgewright.baselines/1"] = Field(default="edgewright.baselines/1", alias="schema")
    cases: tuple[BaselineCase, ...]


class DeviceLine(Document):
    """A device as it is kept."""

    name: str
    address: str
    python: str
    cores: tuple[int, ...] | None = Field(description="to measure on; null for all")
    folder: str
    least_free_mib: int
    cache_mib: int


class DevicesDocument(Document):
    """``edgewright device list --json``."""

    schema_: Literal["edgewright.devices/1"] = Field(default="edgewright.devices/1", alias="schema")
    devices: tuple[DeviceLine, ...]


class DeviceDocument(Document):
    """``edgewright device check NAME --json``; of one that cannot be reached there is none, and the exit code is 2."""

    schema_: Literal["edgewright.device/1"] = Field(default="edgewright.device/1", alias="schema")
    device: str
    facts: dict[str, str]
    missing: tuple[str, ...] = Field(description="what keeps it from being measured on, each with the command")
    doubts: tuple[str, ...] = Field(description="what makes its figures vary")


class StoreEntry(Document):
    """One thing in the store."""

    kind: ItemKind
    what: str = Field(description="the stage, the kind of record, or a name")
    path: str
    size_bytes: int
    used: datetime = Field(description="when it was last used; of data and weights, when it came")


class StoreDocument(Document):
    """``edgewright store list --json``."""

    schema_: Literal["edgewright.store/1"] = Field(default="edgewright.store/1", alias="schema")
    path: str
    items: tuple[StoreEntry, ...]


class DamagedEntry(Document):
    """One thing that is not what was put into the store."""

    path: str = Field(description="relative to the store")
    why: str


class StoreCheckDocument(Document):
    """``edgewright store check --json``; printed also where something is damaged, with exit code 6."""

    schema_: Literal["edgewright.store-check/1"] = Field(default="edgewright.store-check/1", alias="schema")
    path: str
    looked_at: int
    damaged: tuple[DamagedEntry, ...]
    removed: bool = Field(description="whether what is damaged was removed")


class StoreGcDocument(Document):
    """``edgewright store gc --json``."""

    schema_: Literal["edgewright.store-gc/1"] = Field(default="edgewright.store-gc/1", alias="schema")
    path: str
    dry_run: bool = Field(description="whether nothing was removed, only said what would be")
    freed_bytes: int
    removed: tuple[StoreEntry, ...]
    in_use: tuple[StoreEntry, ...] = Field(description="what would have gone if no living run might use it")


_Any = Annotated[
    ModelsDocument
    | TargetsDocument
    | DoctorDocument
    | VerifyDocument
    | MeasureDocument
    | ExplainDocument
    | BaselinesDocument
    | DevicesDocument
    | DeviceDocument
    | StoreDocument
    | StoreCheckDocument
    | StoreGcDocument,
    Field(discriminator="schema_"),
]


def target_entry(state: TargetState) -> TargetEntry:
    """The same as a document's part."""
    return TargetEntry(**asdict(state))


def measure_document(measured: BundleMeasurement) -> MeasureDocument:
    """The figures of a bundle's own measurement, and why some are null."""
    manifest, solo, accuracy = measured.bundle.manifest, measured.solo, measured.accuracy
    latency, thin = solo.latency()
    memory, untold = solo.memory_bytes()
    return MeasureDocument(
        sha256=measured.bundle.sha256,
        **{name: manifest[name] for name in ("model", "target", "precision")},
        device=measured.device,
        machine_class=measured.machine.machine_class,
        size_bytes=loaded_bytes(measured.bundle),
        latency_s=Latency.model_validate(latency),
        cold_start=ColdStart(**{f"{phase}_s": value for phase, value in solo.cold_start_s().items()}),
        memory_bytes=Memory.model_validate(memory),
        accuracy=AccuracyFigure(metric=accuracy.metric, value=accuracy.value, n=accuracy.n),
        conditions=dict(solo.processes[0]["facts"]),
        withheld=(*thin, *untold),
        warnings=(*solo.warnings(), *measured.doubts),
    )


def document_schema() -> dict[str, object]:
    """The JSON schema of all documents: which one it is, its ``schema`` says."""
    return TypeAdapter(_Any).json_schema(by_alias=True, mode="serialization")


def print_document(document: Document) -> None:
    """Print it on standard output, and nothing else; nothing that steers a terminal stands in it as it is."""
    text = document.model_dump_json(indent=2, by_alias=True)
    typer.echo("".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text))
