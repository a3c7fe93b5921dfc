"""How much of a network's arithmetic runs in INT8, layer by layer and in multiply-accumulates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.quantization.graph import WEIGHTED, Graph
from pipeline.quantization.plan import place

if TYPE_CHECKING:
    from pipeline.quantization.dialects import Dialect

__all__ = ["Int8Share", "int8_share", "weighted_macs"]

_LEAST = 0.5
"""Of a network's multiply-accumulates: with fewer in INT8 it is a float network with some INT8 in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Int8Share:
    """Convolutions and matrix products with constant weights that a Q/DQ graph runs in INT8, of those there are.

    Attributes:
        layers: How many run in INT8.
        total_layers: How many there are.
        macs: Multiply-accumulates of an inference in the former.
        total_macs: In the latter.
    """

    layers: int
    total_layers: int
    macs: int
    total_macs: int

    @property
    def of_macs(self) -> float:
        """Fraction of the multiply-accumulates; 0 for a network without any."""
        return self.macs / self.total_macs if self.total_macs else 0.0

    @property
    def is_int8(self) -> bool:
        """Whether a network of which so much runs in INT8 is called so: at least a layer, half of the arithmetic."""
        return self.layers > 0 and self.of_macs >= _LEAST


def int8_share(model: Any, dialect: Dialect, float_nodes: frozenset[str] = frozenset()) -> Int8Share:  # noqa: ANN401 - ModelProto
    """What of a float graph runs in INT8 once Q/DQ is written.

    Args:
        model: The float graph, with static shapes.
        dialect: It is written in.
        float_nodes: Nodes that stay float.
    """
    graph = Graph(model)
    placed = place(graph, dialect, float_nodes).units
    macs = weighted_macs(model)
    inside = [count for name, count in macs.items() if name in placed]
    return Int8Share(layers=len(inside), total_layers=len(macs), macs=sum(inside), total_macs=sum(macs.values()))


def weighted_macs(model: Any) -> dict[str, int]:  # noqa: ANN401 - ModelProto
    """Name of each weighted node to its multiply-accumulates: every weight is used once for each position it is put to.

    A convolution's positions are those of its output, a transposed one's those of its input; a product has one for
    each row. Products of two computed values, as in attention, are not weighted and not counted.

    Args:
        model: A float graph with static shapes.
    """
    from onnx import shape_inference

    graph = Graph(model)
    typed = shape_inference.infer_shapes(graph.model).graph
    shapes = {
        item.name: [side.dim_value for side in item.type.tensor_type.shape.dim]
        for item in (*typed.value_info, *typed.input, *typed.output)
    }
    found = {}
    for unit in graph.units(WEIGHTED):
        node = unit.node
        weights = math.prod(graph.constants[node.input[1]].dims)
        moved = node.input[0] if node.op_type == "ConvTranspose" else node.output[0]
        shape = shapes.get(moved, [])
        positions = shape[2:] if node.op_type in {"Conv", "ConvTranspose"} else shape[:-1]
        found[unit.name] = weights * math.prod(max(side, 1) for side in positions)
    return found
