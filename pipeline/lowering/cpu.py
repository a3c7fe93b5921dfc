"""ONNX Runtime on the CPU for looking at a graph's numbers, not for timing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.onnx_runtime import onnx_runtime

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.session import Array

__all__ = ["cpu_session", "run_onnx"]


def cpu_session(model: Any, *, optimised: bool = True) -> Any:  # noqa: ANN401 - ModelProto; onnxruntime has no types
    """A session that keeps quiet and whose threads do not wait actively.

    Args:
        model: The graph, or its bytes.
        optimised: With all of the runtime's fusions; else the operators run as they are written.
    """
    onnxruntime = onnx_runtime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    graph = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def run_onnx(model: Any, batches: Iterable[Array], *, optimised: bool = True) -> list[list[Array]]:  # noqa: ANN401 - as above
    """The model's outputs for each batch."""
    session = cpu_session(model, optimised=optimised)
    name = session.get_inputs()[0].name
    return [session.run(None, {name: batch}) for batch in batches]
