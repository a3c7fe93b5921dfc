"""Constants where the quantiser looks for them: among the initializers, and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["constants_as_initializers"]

_SCALARS = {"value_float": np.float32, "value_int": np.int64, "value_floats": np.float32, "value_ints": np.int64}


def constants_as_initializers(graph: Any) -> None:  # noqa: ANN401 - GraphProto
    """Rewrite in place: nodes that hold a constant, and names that only pass one on, become initializers."""
    from onnx import numpy_helper

    known = {item.name: item for item in graph.initializer}
    outputs = {output.name for output in graph.output}
    nodes = []
    for node in graph.node:
        value = _value(node, numpy_helper) if node.op_type == "Constant" else None
        if node.op_type == "Identity" and node.input[0] in known and node.output[0] not in outputs:
            value = numpy_helper.to_array(known[node.input[0]])
        if value is None or node.output[0] in outputs:
            nodes.append(node)
            continue
        item = numpy_helper.from_array(value, node.output[0])
        known[item.name] = item
        graph.initializer.append(item)
    del graph.node[:]
    graph.node.extend(nodes)


def _value(node: Any, numpy_helper: Any) -> Any:  # noqa: ANN401 - onnx types
    from onnx import helper

    for attribute in node.attribute:
        if attribute.name == "value":
            return numpy_helper.to_array(attribute.t)
        if attribute.name in _SCALARS:
            return np.asarray(helper.get_attribute_value(attribute), _SCALARS[attribute.name])
    return None  # a sparse or textual constant, which stays where it is
