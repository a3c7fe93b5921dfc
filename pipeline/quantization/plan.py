"""Which nodes run in INT8 and which tensors get Q/DQ, for a dialect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.quantization.choices import choosing_nodes
from pipeline.quantization.dialects import ELEMENTWISE
from pipeline.quantization.graph import PASS_THROUGH, WEIGHTED, Unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.quantization.dialects import Dialect
    from pipeline.quantization.graph import Graph

__all__ = ["Placement", "place", "tensors_to_observe"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Where INT8 goes.

    Attributes:
        units: The nodes that run in INT8, by node name.
        tensors: Each tensor that gets Q/DQ, with the tensor whose range it takes (itself, or the one that was moved).
    """

    units: Mapping[str, Unit]
    tensors: Mapping[str, str]


def tensors_to_observe(graph: Graph) -> list[str]:
    """Every tensor whose range some dialect may ask for, in the graph's order."""
    names: dict[str, None] = {}
    choosing = choosing_nodes(graph)
    for unit in graph.units(WEIGHTED | ELEMENTWISE):
        if unit.name in choosing:
            continue
        for name in (*graph.activations_of(unit.node), unit.output):
            if graph.is_float(name):
                names[name] = None
    return list(names)


def place(graph: Graph, dialect: Dialect, float_nodes: frozenset[str] = frozenset()) -> Placement:
    """Decide for every node.

    Convolutions and matrix products with constant weights run in INT8. Element-wise nodes join where a value reaches
    them in INT8 already; operators that only move values follow their input, with its range. None of them does that is
    named in ``float_nodes``. What chooses stays float, see :mod:`pipeline.quantization.choices`; what a layer hands to
    it is not rounded once more where the kernel can hand out float.
    """
    choosing = choosing_nodes(graph)
    units = graph.units(WEIGHTED | dialect.elementwise)
    candidates = {unit.name: unit for unit in units if unit.name not in choosing}
    chosen: dict[str, Unit] = {}
    tensors: dict[str, str] = {}
    for node in graph.model.graph.node:
        unit = candidates.get(node.name)
        if unit is None or unit.name in float_nodes:
            moves = node.op_type in PASS_THROUGH and node.name not in choosing | float_nodes
            if moves and node.input[0] in tensors and node.output[0] not in graph.outputs:
                tensors[node.output[0]] = tensors[node.input[0]]
            continue
        inputs = graph.activations_of(node)
        ends = unit.output in graph.outputs or _only_for(graph, unit.output, choosing)
        hands_out_float = ends and node.op_type in dialect.float_results
        if not _fits(graph, unit, inputs, tensors, hands_out_float=hands_out_float):
            continue
        chosen[unit.name] = unit
        for name in inputs:
            tensors.setdefault(name, name)
        if not hands_out_float:
            tensors[unit.output] = unit.output
    return Placement(units=chosen, tensors=tensors)


def _only_for(graph: Graph, tensor: str, nodes: frozenset[str]) -> bool:
    """Whether a tensor is taken by those nodes alone."""
    return all(consumer.name in nodes for consumer in graph.consumers[tensor])


def _fits(graph: Graph, unit: Unit, inputs: list[str], tensors: Mapping[str, str], *, hands_out_float: bool) -> bool:
    node = unit.node
    if not inputs or not all(graph.is_float(name) for name in inputs):
        return False
    ends = unit.output in graph.outputs
    if node.op_type in WEIGHTED:
        return hands_out_float or not ends
    all_computed = all(name not in graph.constants for name in node.input)
    return all_computed and not ends and any(name in tensors for name in inputs)
