"""A graph of float16 or float64 in float32, which is what calibration and INT8 start from."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.models.onnx_file import inner_graphs

__all__ = ["compute_in_float32"]


def compute_in_float32(model: Any) -> bool:  # noqa: ANN401 - ModelProto
    """Rewrite in place: every float of another width becomes float32, in constants, types and casts.

    Returns:
        Whether there was anything to rewrite.
    """
    changed = _graph(model.graph)
    if changed:
        del model.graph.value_info[:]
    return changed


def _others() -> frozenset[int]:
    from onnx import TensorProto

    return frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE})


def _graph(graph: Any) -> bool:  # noqa: ANN401 - GraphProto
    from onnx import TensorProto

    others, changed = _others(), False
    for item in graph.initializer:
        changed |= _tensor(item)
    for port in (*graph.input, *graph.output):
        if port.type.tensor_type.elem_type in others:
            port.type.tensor_type.elem_type = TensorProto.FLOAT
            changed = True
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in {"to", "dtype"} and attribute.i in others:
                attribute.i = TensorProto.FLOAT
                changed = True
            if attribute.HasField("t"):
                changed |= _tensor(attribute.t)
        for inner in inner_graphs(node):
            changed |= _graph(inner)
    return changed


def _tensor(tensor: Any) -> bool:  # noqa: ANN401 - TensorProto
    from onnx import numpy_helper

    if tensor.data_type not in _others():
        return False
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    return True
