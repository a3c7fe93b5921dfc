"""A graph of float16 or float64 in float32, which is what calibration and INT8 start from."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.models.onnx_file import inner_graphs

__all__ = ["compute_in_float32"]


def compute_in_float32(model: Any) -> bool:  # noqa: ANN401 - ModelProto
    """Rewrite in place: every float of another width becomes float32, in constants, types and casts.

    Returns:
        Whether there were floats of 16 bits among them, whose own rounding is the file's.
    """
    from onnx import TensorProto

    found: set[int] = set()
    _rewrite(model.graph, found)
    if found:
        del model.graph.value_info[:]
    return bool(found & {TensorProto.FLOAT16, TensorProto.BFLOAT16})


def _others() -> frozenset[int]:
    from onnx import TensorProto

    return frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE})


def _rewrite(graph: Any, found: set[int]) -> None:  # noqa: ANN401 - GraphProto
    """Rewrite a graph and those within it; adds the types that were there to ``found``."""
    from onnx import TensorProto

    others = _others()
    for item in graph.initializer:
        _rewrite_tensor(item, found)
    for port in (*graph.input, *graph.output):
        if port.type.tensor_type.elem_type in others:
            found.add(port.type.tensor_type.elem_type)
            port.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in {"to", "dtype"} and attribute.i in others:
                found.add(attribute.i)
                attribute.i = TensorProto.FLOAT
            if attribute.HasField("t"):
                _rewrite_tensor(attribute.t, found)
        for inner in inner_graphs(node):
            _rewrite(inner, found)


def _rewrite_tensor(tensor: Any, found: set[int]) -> None:  # noqa: ANN401 - TensorProto
    from onnx import numpy_helper

    if tensor.data_type in _others():
        found.add(tensor.data_type)
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
