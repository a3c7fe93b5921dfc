"""The stage that makes what the target loads."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from exporters.onnx_forms.bytes_input import BytesFromFloat
from exporters.onnx_forms.suppressed import SuppressedFromCandidates
from exporters.target import Precision  # noqa: TC001 - pydantic reads it
from pipeline.artifact import ArtifactKind, dialect_of
from pipeline.preprocess import PreprocessSpec  # noqa: TC001 - as above
from pipeline.stage import Made
from pipeline.tasks.suppression import Suppression  # noqa: TC001 - as above

if TYPE_CHECKING:
    from pipeline.stage import Inputs, Workspace

__all__ = ["BuildFor"]


class BuildFor(BaseModel):
    """Building one of the ONNX files for one target.

    What ``auto`` means is decided before, by the runner, from measurements: a stage sees none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str] = "build"
    version: ClassVar[int] = 3
    takes: ClassVar[tuple[ArtifactKind, ...]] = (ArtifactKind.ONNX,)
    gives: ClassVar[ArtifactKind] = ArtifactKind.ENGINE
    reads: ClassVar[tuple[str, ...]] = ()

    target: str
    source: str
    """The ONNX file to build from, such as ``qdq-ort-x86.onnx``."""
    precision: Precision

    options: dict[str, Any] = Field(default_factory=dict)
    """Of the runtime, over the target's defaults."""

    folded: PreprocessSpec | None = None
    """Preprocessing whose arithmetic is moved into the graph, which then takes bytes; None: it takes float32."""

    suppression: Suppression | None = None
    """Suppression that is moved into the graph, which then gives detections; None: it gives what it gave."""

    builder: Any = Field(exclude=True, repr=False)
    """The ``Target`` of that name; its name and versions are in the key already."""

    target_settings: dict[str, Any] = Field(default_factory=dict)
    """What else of the target and its GPU decides the bytes: the target's own ``settings``, here to be in the key."""

    @model_validator(mode="before")
    @classmethod
    def _with_settings(cls, values: dict[str, Any]) -> dict[str, Any]:
        if "builder" not in values or "target_settings" in values:
            return values
        return {**values, "target_settings": values["builder"].settings()}

    @property
    def pins(self) -> tuple[str, ...]:
        """The target's own distributions."""
        distributions: tuple[str, ...] = self.builder.distributions
        return distributions

    def run(self, inputs: Inputs, work: Workspace) -> Made:
        """Build; the facts hold the engine's spec.

        Raises:
            ParityError: when the graph that takes bytes, or suppresses, does not compute the same.
        """
        model = inputs.artifacts[ArtifactKind.ONNX].path(self.source)
        with (
            tempfile.TemporaryDirectory(prefix="edgewright-") as scratch,
            work.progress.track(f"building for {self.target}", 1) as ticker,
        ):
            if self.suppression is not None:
                model, candidates = Path(scratch, f"suppressed-{self.source}"), model
                SuppressedFromCandidates(candidates, model, self.suppression)
            if self.folded is not None:
                model, floats = Path(scratch, self.source), model
                BytesFromFloat(floats, model, self.folded)
            spec = self.builder.build(model, work.folder, precision=self.precision)
            ticker.advance()
        spec = replace(spec, options={**spec.options, **self.options})
        shape = "x".join(str(side) for side in spec.input.shape)
        within = ", overlapping boxes suppressed within" if self.suppression else ""
        note = f"{self.precision} engine, input {spec.input.dtype} {shape}{within}"
        facts = {"engine": spec.to_json(), "precision": self.precision, "dialect": dialect_of(self.source)}
        facts |= {"nms": "graph"} if self.suppression else {}
        return Made(facts=facts, notes=(note,))
