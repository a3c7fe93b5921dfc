"""ONNX Runtime's providers: their names, and which nodes each was given."""

from __future__ import annotations

from collections import Counter
from typing import Any

__all__ = ["CPU", "CUDA", "TENSORRT", "nodes_by_provider"]

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"


def nodes_by_provider(session: Any) -> dict[str, int]:  # noqa: ANN401 - onnxruntime has no types
    """Provider to how many nodes it was given; of a session with ``session.record_ep_graph_assignment_info``."""
    found: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        found[part.ep_name] += len(part.get_nodes())
    return dict(sorted(found.items()))
