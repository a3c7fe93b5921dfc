"""Groups of layers that some runtimes run slower in INT8 than in float: those worth trying in float."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.quantization.choices import choosing_nodes
from pipeline.quantization.graph import WEIGHTED, Graph

if TYPE_CHECKING:
    from pipeline.quantization.dialects import Dialect

__all__ = ["groups"]

_GATING = frozenset({"Sigmoid", "Mul"})


def groups(model: Any, dialect: Dialect) -> dict[str, frozenset[str]]:  # noqa: ANN401 - ModelProto
    """Group name to the names of its nodes, without empty groups.

    - ``depthwise``: convolutions of one channel each, which move more bytes than they multiply;
    - ``squeeze``: convolutions and products between a global pooling and the product that scales feature maps by
      them: one position, so the conversions around them weigh as much as they do;
    - ``gating``: sigmoids and products of feature maps, as in SiLU and squeeze-excite; not those of a detector's
      answers, which are float anyway.

    Args:
        model: The float graph, shapes inferred or not.
        dialect: Of the INT8 that would be left away.
    """
    from onnx import shape_inference

    graph = Graph(model)
    typed = shape_inference.infer_shapes(model).graph
    sides = {
        item.name: [side.dim_value for side in item.type.tensor_type.shape.dim][2:]
        for item in (*typed.value_info, *typed.input, *typed.output)
    }
    weighted = graph.units(WEIGHTED)
    choosing = choosing_nodes(graph)
    gating = [unit.name for unit in graph.units(_GATING & dialect.elementwise) if unit.name not in choosing]
    found = {
        "depthwise": [unit.name for unit in weighted if _is_depthwise(graph, unit.node)],
        "squeeze": [unit.name for unit in weighted if sides.get(unit.node.output[0]) == [1, 1]],
        "gating": gating,
    }
    return {name: frozenset(nodes) for name, nodes in found.items() if nodes}


def _is_depthwise(graph: Graph, node: Any) -> bool:  # noqa: ANN401 - NodeProto
    divided = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    return bool(node.op_type == "Conv" and divided > 1 and graph.array(node.input[1]).shape[1] == 1)
