"""The stage that writes the final ONNX files: float, and Q/DQ in the dialect of each target."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from pipeline.artifact import FLOAT_MODEL, ArtifactKind, qdq_model
from pipeline.quantization.ranges import Method  # noqa: TC001 - pydantic reads it
from pipeline.stage import Made

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.quantization.ranges import Range
    from pipeline.stage import Inputs, Workspace

__all__ = ["Export", "ExportFor"]


class Export(BaseModel):
    """The export section of a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: Method = Field(
        default="mse", description="how a range is chosen from what was seen: minmax, percentile, mse or entropy"
    )
    float_nodes: tuple[str, ...] = Field(default=(), description="names of ONNX nodes that stay float")


class ExportFor(Export):
    """Writing the files for certain dialects."""

    name: ClassVar[str] = "export"
    version: ClassVar[int] = 1
    takes: ClassVar[tuple[ArtifactKind, ...]] = (ArtifactKind.CALIBRATION,)
    gives: ClassVar[ArtifactKind] = ArtifactKind.ONNX
    reads: ClassVar[tuple[str, ...]] = ()
    pins: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")

    dialects: tuple[str, ...] = Field(min_length=1)

    def run(self, inputs: Inputs, work: Workspace) -> Made:
        """Write ``float.onnx`` and a ``qdq-<dialect>.onnx`` each.

        Raises:
            UnknownNameError: for a dialect or a float node that does not exist.
        """
        import onnx

        from pipeline.errors import UnknownNameError
        from pipeline.quantization.dialects import dialect_named
        from pipeline.quantization.write import QdqFromFloat

        calibration = inputs.artifacts[ArtifactKind.CALIBRATION]
        model = onnx.load(calibration.path(FLOAT_MODEL))
        onnx.save(model, work.folder / FLOAT_MODEL)
        known = {node.name for node in model.graph.node}
        for node in self.float_nodes:
            if node not in known:
                raise UnknownNameError("ONNX node in export.float_nodes", node, known)
        ranges = _read_ranges(calibration.path("ranges.json"), self.method)
        coverage = {}
        with work.progress.track("writing Q/DQ", len(self.dialects)) as ticker:
            for name in self.dialects:
                path = work.folder / qdq_model(name)
                quantised = QdqFromFloat(model, ranges, dialect_named(name), float_nodes=frozenset(self.float_nodes))
                onnx.save(quantised, path)
                coverage.update(_coverage(name, path))
                ticker.advance()
        notes = tuple(
            f"{name}: {found['int8']} of {found['total']} convolutions and matrix products run in INT8"
            for name, found in coverage.items()
        )
        return Made(facts={"coverage": coverage, "method": self.method}, notes=notes)


def _read_ranges(path: Path, method: Method) -> dict[str, Range]:
    from pipeline.quantization.ranges import Range

    value = json.loads(path.read_text(encoding="utf-8"))
    return {tensor: Range.of(*methods[method]) for tensor, methods in value.items()}


def _coverage(dialect: str, path: Path) -> dict[str, dict[str, object]]:
    """Counted where the runtime is at hand: ONNX Runtime's kernels for its own dialects."""
    from pipeline.quantization.coverage import int8_coverage

    return {dialect: dict(int8_coverage(path).to_json())} if dialect.startswith("ort-") else {}
