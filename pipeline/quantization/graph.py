"""Reading an ONNX graph: constants, consumers, and the units that run as one INT8 kernel."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.session import Array

__all__ = ["PASS_THROUGH", "WEIGHTED", "Graph", "Unit", "free_name"]

WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators with a constant weight: what INT8 is for."""

FUSED = frozenset({"Relu", "Clip"})
"""Activations that an INT8 kernel applies for free: its output range is that after them."""

PASS_THROUGH = frozenset({"MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Identity"})
"""Operators that only move values: what comes out has the scale of what went in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """A node and the activation behind it that runs in the same kernel.

    Attributes:
        node: The NodeProto.
        output: The tensor behind the activation.
        activations: The fused NodeProtos.
    """

    node: Any
    output: str
    activations: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The node's name."""
        return str(self.node.name)


def free_name(wanted: str, taken: set[str]) -> str:
    """The wanted name, or the first numbered form of it that is not taken; taken from now on."""
    names = (f"{wanted}_{number}" if number else wanted for number in count())
    name = next(name for name in names if name not in taken)
    taken.add(name)
    return name


class Graph:
    """An index over a ModelProto with one input; nodes get names of their own where they have none."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - ModelProto
        from onnx import TensorProto, numpy_helper, shape_inference

        self.model = model
        typed = shape_inference.infer_shapes(model).graph
        self._floats = {
            item.name
            for item in (*typed.value_info, *typed.input, *typed.output)
            if item.type.tensor_type.elem_type == TensorProto.FLOAT
        }
        self._numpy = numpy_helper.to_array
        self.constants = {item.name: item for item in model.graph.initializer}
        self.outputs = frozenset(output.name for output in model.graph.output)
        self.input = next(item.name for item in model.graph.input if item.name not in self.constants)
        self.consumers: dict[str, list[Any]] = defaultdict(list)
        self.producer: dict[str, Any] = {}
        taken: set[str] = set()
        for number, node in enumerate(model.graph.node):
            node.name = free_name(node.name or f"{node.op_type}_{number}", taken)
            for name in node.input:
                self.consumers[name].append(node)
            for name in node.output:
                self.producer[name] = node

    def is_float(self, name: str) -> bool:
        """Whether a computed tensor holds float32: shape arithmetic is not quantised."""
        return name in self._floats

    def array(self, name: str) -> Array:
        """The value of a constant."""
        value: Array = self._numpy(self.constants[name])
        return value

    def weight_of(self, node: Any) -> str | None:  # noqa: ANN401 - NodeProto
        """The constant second input of a weighted node, with an axis of output channels; None when it has none.

        None of a product with several matrices, one for each group or head: no runtime has an INT8 kernel for these.
        """
        if node.op_type not in WEIGHTED or len(node.input) < 2 or node.input[1] not in self.constants:
            return None
        rank = len(self.constants[node.input[1]].dims)
        if rank < 2 or (node.op_type == "MatMul" and rank > 2):
            return None  # a product with a vector has no output channels
        return str(node.input[1])

    def units(self, kinds: Iterable[str]) -> list[Unit]:
        """All nodes of the given operators, in order, with what fuses behind them; weighted ones need a constant."""
        wanted = frozenset(kinds)
        found = []
        for node in self.model.graph.node:
            if node.op_type not in wanted or (node.op_type in WEIGHTED and self.weight_of(node) is None):
                continue
            found.append(self._unit(node))
        return found

    def _unit(self, node: Any) -> Unit:  # noqa: ANN401 - NodeProto
        output, fused = node.output[0], []
        while output not in self.outputs and len(self.consumers[output]) == 1:
            follower = self.consumers[output][0]
            if follower.op_type not in FUSED or follower.input[0] != output:
                break
            fused.append(follower)
            output = follower.output[0]
        return Unit(node=node, output=output, activations=tuple(fused))

    def activations_of(self, node: Any) -> list[str]:  # noqa: ANN401 - NodeProto
        """The inputs of a node that are computed, not constant."""
        return [name for name in node.input if name and name not in self.constants]
