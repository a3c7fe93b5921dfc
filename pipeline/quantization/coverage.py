"""What really runs in INT8: read off the graph that the runtime made of a Q/DQ file."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.artifact import Json

__all__ = ["Coverage", "int8_coverage"]

_INT8 = frozenset({"QLinearConv", "QGemm", "MatMulIntegerToFloat", "QLinearMatMul", "ConvInteger", "MatMulInteger"})
_FLOAT = frozenset(
    {"Conv", "FusedConv", "NhwcFusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul", "ConvTranspose"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """Convolutions and matrix products of an optimised graph.

    Attributes:
        int8: How many run in INT8.
        total: How many there are.
        floats: Names of those that run in float.
    """

    int8: int
    total: int
    floats: tuple[str, ...]

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return {"int8": self.int8, "total": self.total, "floats": list(self.floats)}


def int8_coverage(model: Path) -> Coverage:
    """Let ONNX Runtime optimise a Q/DQ file for the CPU and count its kernels."""
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        path = Path(folder, "optimised.onnx")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(path).graph.node
    floats = tuple(node.name for node in nodes if node.op_type in _FLOAT)
    int8 = sum(node.op_type in _INT8 for node in nodes)
    return Coverage(int8=int8, total=int8 + len(floats), floats=floats)
