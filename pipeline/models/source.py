"""Which network and which weights a run is about; light to import: torch comes in only when a network is built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.artifact import Json
    from pipeline.models.onnx_file import ImageInput

__all__ = ["ModelSource", "OneNumber", "WeightsSource"]

OneNumber = Literal["logit", "probability"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSource:
    """How to build the network.

    Attributes:
        origin: ``torchvision``, ``timm``, ``yolo``, ``file`` for a factory in Python, or ``onnx``.
        name: Builder or factory name within the origin; of an ONNX file its name without suffix.
        file: The user's file, for the last two; its content counts, not its place.
        file_sha256: Hash of that file and of what it needs beside it: modules it imports, weights it names.
        image: What an ONNX file takes; None for the others.
        output: Which of several outputs is the answer; None for the customary or the first one.
        task: Name of the task it is for, as far as its origin says.
        one_number: What a network of two classes answers with where it answers with one number, which is the second
            class's; None where it has one for each.
        columns: In which place of its answer each of the data's classes stands; None: in the data's order.
        wide_tail: Of torchvision's two SSDlites the wider one; see :mod:`~pipeline.models.ssdlite_tail`.
    """

    origin: Literal["torchvision", "timm", "yolo", "file", "onnx"]
    name: str
    file: Path | None = field(default=None, compare=False)
    file_sha256: str | None = None
    image: ImageInput | None = field(default=None, compare=False)
    output: str | None = None
    task: str = "classification"
    one_number: OneNumber | None = None
    columns: tuple[int, ...] | None = None
    wide_tail: bool = False

    def last_outputs(self, classes: int) -> int:
        """How many outputs the layer has that answers for so many classes."""
        return classes if self.one_number is None else 1

    def identity(self) -> dict[str, Json]:
        """What decides which network is built; of how it answers only what most networks do not need to say."""
        columns: Json = None if self.columns is None else list(self.columns)
        told: dict[str, Json] = {
            "output": self.output,
            "one_number": self.one_number,
            "columns": columns,
            "wide_tail": self.wide_tail or None,
        }
        named = {name: value for name, value in told.items() if value is not None}
        return {"origin": self.origin, "name": self.name, "file_sha256": self.file_sha256, **named}


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsSource:
    """What the network starts from.

    Attributes:
        origin: ``pretrained`` (reachable), ``scratch`` or ``file``.
        file: The weights file; for ``pretrained`` the downloaded one.
        file_sha256: Hash of that file.
        reason: For people: why it starts from scratch.
        backbone: What the backbone of a detector without weights starts from; None: from scratch as the rest.
    """

    origin: Literal["pretrained", "scratch", "file"]
    file: Path | None = field(default=None, compare=False)
    file_sha256: str | None = None
    reason: str = field(default="", compare=False)
    backbone: WeightsSource | None = None

    def identity(self) -> dict[str, Json]:
        """What decides the starting weights."""
        part: dict[str, Json] = {"backbone": self.backbone.identity()} if self.backbone and self.knows_backbone else {}
        return {"origin": self.origin, "file_sha256": self.file_sha256, **part}

    @property
    def knows_backbone(self) -> bool:
        """Whether there are weights for the backbone, on its own or with the rest."""
        return (self.backbone or self).origin != "scratch"
