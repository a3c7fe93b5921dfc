"""What really runs in INT8: read off the graph that the runtime made of a Q/DQ file."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.onnx_runtime import onnx_runtime
from pipeline.quantization.choices import choosing_nodes
from pipeline.quantization.graph import WEIGHTED, Graph
from pipeline.quantization.plan import place

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.artifact import Json
    from pipeline.quantization.dialects import Dialect

__all__ = ["Coverage", "int8_coverage", "why_float"]

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

    onnxruntime = onnx_runtime()
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        path = Path(folder, "optimised.onnx")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(path).graph.node
    floats = tuple(node.name.removeprefix("fused ") for node in nodes if node.op_type in _FLOAT)
    int8 = sum(node.op_type in _INT8 for node in nodes)
    return Coverage(int8=int8, total=int8 + len(floats), floats=floats)


def why_float(model: Any, dialect: Dialect, float_nodes: frozenset[str]) -> Callable[[str], str]:  # noqa: ANN401 - ModelProto
    """A function that says why a node of the float graph does not run in INT8.

    Args:
        model: The float graph.
        dialect: It was written in.
        float_nodes: Nodes that were to stay float.
    """
    graph = Graph(model)
    weighted = {unit.name: unit for unit in graph.units(WEIGHTED)}
    placed = place(graph, dialect, float_nodes).units
    choosing = choosing_nodes(graph)

    def why(node: str) -> str:
        if node in float_nodes:
            return "kept in float"
        if node in placed:
            return "the runtime has no INT8 kernel for it"
        if node not in weighted:
            return "its weights are computed, not constant"
        if weighted[node].output in graph.outputs:
            return "it gives the network's output"
        if node in choosing:
            return "it decodes what is chosen"
        return "its input is not quantised"

    return why
