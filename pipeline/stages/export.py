"""The stage that writes the final ONNX files: float, and Q/DQ in the dialect of each target."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.artifact import FLOAT_MODEL, ArtifactKind, qdq_model
from pipeline.quantization.ranges import Method  # noqa: TC001 - pydantic reads it
from pipeline.stage import Made

if TYPE_CHECKING:
    from pipeline.stage import Inputs, Workspace

__all__ = ["Export", "ExportFor"]


class Export(BaseModel):
    """The export section of a recipe; what is ``auto`` is found by the runner's search."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: Literal["auto", "minmax", "percentile", "mse", "entropy"] = Field(
        default="auto", description="how a range is chosen from what was seen: minmax, percentile, mse, entropy or auto"
    )
    weight_bits: Literal["auto", 7, 8] = Field(
        default="auto", description="7 where the instruction set saturates with 8 and that costs more; auto measures"
    )
    bias_correction: bool = Field(
        default=True, description="take back in the biases what rounding the weights does to each channel's mean"
    )
    float_nodes: tuple[str, ...] = Field(default=(), description="names of ONNX nodes that stay float")


class ExportFor(BaseModel):
    """Writing the files for certain dialects, with everything decided."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str] = "export"
    version: ClassVar[int] = 3
    takes: ClassVar[tuple[ArtifactKind, ...]] = (ArtifactKind.CALIBRATION,)
    gives: ClassVar[ArtifactKind] = ArtifactKind.ONNX
    reads: ClassVar[tuple[str, ...]] = ()
    pins: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")

    dialects: tuple[str, ...] = Field(min_length=1)
    method: Method = "mse"
    bias_correction: bool = True
    float_nodes: tuple[str, ...] = ()

    def run(self, inputs: Inputs, work: Workspace) -> Made:
        """Write ``float.onnx`` and a ``qdq-<dialect>.onnx`` each.

        Raises:
            UnknownNameError: for a dialect or a float node that does not exist.
        """
        import onnx

        from pipeline.errors import UnknownNameError
        from pipeline.quantization.calibrated import read_calibration
        from pipeline.quantization.coverage import int8_coverage, why_float
        from pipeline.quantization.dialects import dialect_named

        calibrated = read_calibration(inputs.artifacts[ArtifactKind.CALIBRATION])
        onnx.save(calibrated.model, work.folder / FLOAT_MODEL)
        known = {node.name for node in calibrated.model.graph.node}
        for node in self.float_nodes:
            if node not in known:
                raise UnknownNameError("ONNX node in export.float_nodes", node, known)
        coverage = {}
        with work.progress.track("writing Q/DQ", len(self.dialects)) as ticker:
            for name in self.dialects:
                path = work.folder / qdq_model(name)
                quantised = calibrated.quantised(
                    self.method,
                    dialect_named(name),
                    float_nodes=frozenset(self.float_nodes),
                    bias_correction=self.bias_correction,
                )
                onnx.save(quantised, path)
                if name.startswith("ort-"):  # whose runtime is at hand
                    why = why_float(calibrated.model, dialect_named(name), frozenset(self.float_nodes))
                    found = int8_coverage(path)
                    floats = [{"node": node, "why": why(node)} for node in found.floats]
                    coverage[name] = {"int8": found.int8, "total": found.total, "floats": floats}
                ticker.advance()
        notes = tuple(
            f"{name}: {found['int8']} of {found['total']} convolutions and matrix products run in INT8"
            for name, found in coverage.items()
        )
        return Made(facts={"coverage": coverage, "method": self.method}, notes=notes)
