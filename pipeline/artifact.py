"""What a stage makes: a kind, files with their hashes, and facts; identified by content alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pipeline.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

__all__ = [
    "FLOAT_MODEL",
    "Artifact",
    "ArtifactKind",
    "FileEntry",
    "Json",
    "canonical_json",
    "dialect_of",
    "parse_json",
    "qdq_model",
    "sha256_of_file",
    "sha256_of_json",
]

Json = Any
"""A value of JSON. ``Any`` because a recursive alias makes every reader a cast."""

FLOAT_MODEL = "float.onnx"
"""The float graph within a calibration or ONNX artifact."""

_CHUNK_BYTES = 1 << 20
_TOO_DEEP = "nested too deeply"


class ArtifactKind(StrEnum):
    """What an artifact is, and so which files it holds."""

    ANSWERS = "answers"
    """``answers.safetensors``: what a teacher says of every view of every training image."""
    NETWORK = "network"
    """``architecture.json`` and ``weights.safetensors``: a PyTorch network that needs no pickle to load."""
    CALIBRATION = "calibration"
    """``float.onnx``, ``ranges.json`` and what else the quantiser learned about the network."""
    ONNX = "onnx"
    """``float.onnx`` and, per dialect, ``qdq-<dialect>.onnx``."""
    DECISION = "decision"
    """``decision.json``: the best INT8 form for a target, and what was tried to find it."""
    ENGINE = "engine"
    """What the target loads, with an ``EngineSpec`` among the facts (see ``pipeline.session``)."""


def qdq_model(dialect: str) -> str:
    """The Q/DQ file of a dialect within an ONNX artifact."""
    return f"qdq-{dialect}.onnx"


def dialect_of(file: str) -> str | None:
    """The dialect of a Q/DQ file; None of a float one. Inverse of :func:`qdq_model`."""
    return file.removeprefix("qdq-").removesuffix(".onnx") if file.startswith("qdq-") else None


def canonical_json(value: Json) -> str:
    """The one spelling of a JSON value: sorted keys, no blanks, no NaN.

    Law: equal values give equal text, whatever the order of their keys.

    Raises:
        ValueError: for NaN or an infinity, which JSON cannot say; for what is nested too deeply.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error


def parse_json(text: str | bytes, *, pairs: Callable[[list[tuple[str, Json]]], Json] | None = None) -> Json:
    """The value in a text that may come from anybody.

    Args:
        text: To be parsed.
        pairs: Makes a value of an object's keys and values; a dictionary where there is none.

    Raises:
        ValueError: when it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error


def sha256_of_json(value: Json) -> str:
    """SHA-256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex; reads it in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class FileEntry:
    """One file of an artifact or bundle: its path relative to the root (POSIX), size and hash."""

    path: str
    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, root: Path, path: Path) -> FileEntry:
        """Read the file and describe it."""
        return cls(path=path.relative_to(root).as_posix(), size_bytes=path.stat().st_size, sha256=sha256_of_file(path))

    def to_json(self) -> dict[str, Json]:
        """As JSON; ``FileEntry(**entry.to_json()) == entry``."""
        return {"path": self.path, "size_bytes": self.size_bytes, "sha256": self.sha256}


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """A finished, immutable result of a stage.

    Two artifacts are equal when kind, files and facts are; where they lie (``root``) does not count.
    """

    kind: ArtifactKind
    files: tuple[FileEntry, ...]
    facts: Mapping[str, Json]
    root: Path = field(compare=False)

    @classmethod
    def of_folder(cls, kind: ArtifactKind, root: Path, facts: Mapping[str, Json]) -> Artifact:
        """Describe everything that lies below ``root``."""
        paths = sorted(path for path in root.rglob("*") if path.is_file())
        return cls(kind=kind, files=tuple(FileEntry.of(root, path) for path in paths), facts=dict(facts), root=root)

    @property
    def sha256(self) -> str:
        """The identity: hash over kind, files and facts."""
        return sha256_of_json(self.to_json())

    @property
    def size_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(entry.size_bytes for entry in self.files)

    def path(self, name: str) -> Path:
        """Where the file ``name`` lies.

        Raises:
            IntegrityError: when the artifact has no such file.
        """
        if not any(entry.path == name for entry in self.files):
            held = ", ".join(entry.path for entry in self.files)
            raise IntegrityError(f"the {self.kind} artifact has no file {name!r}", got=held, where=str(self.root))
        return self.root / name

    def to_json(self) -> dict[str, Json]:
        """As JSON, without the place where it lies."""
        return {"kind": str(self.kind), "files": [entry.to_json() for entry in self.files], "facts": dict(self.facts)}

    @classmethod
    def from_json(cls, value: Mapping[str, Json], root: Path) -> Artifact:
        """Inverse of :meth:`to_json`, for the files below ``root``."""
        entries: Iterable[Mapping[str, Json]] = value["files"]
        return cls(
            kind=ArtifactKind(value["kind"]),
            files=tuple(FileEntry(**entry) for entry in entries),
            facts=value["facts"],
            root=root,
        )
