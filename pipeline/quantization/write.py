"""Writing Q/DQ into a float graph."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.lowering.canonical import drop_unused_constants
from pipeline.quantization.correct import bias_shift
from pipeline.quantization.graph import WEIGHTED, Graph, free_name
from pipeline.quantization.plan import place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.quantization.dialects import Dialect
    from pipeline.quantization.graph import Unit
    from pipeline.quantization.plan import Placement
    from pipeline.quantization.ranges import Range
    from pipeline.session import Array

__all__ = ["QdqFromFloat", "quantise_weight"]

_BIAS_LIMIT = float(1 << 30)
"""Largest quantised bias; half of int32, so that the accumulator has room beside it."""


def QdqFromFloat(  # noqa: N802 - conversions are named <Target>From<Source>
    model: Any,  # noqa: ANN401 - ModelProto
    ranges: Mapping[str, Range],
    dialect: Dialect,
    *,
    float_nodes: frozenset[str] = frozenset(),
    means: Mapping[str, Array] | None = None,
) -> Any:  # noqa: ANN401 - ModelProto
    """A copy of the float graph with Q/DQ as the dialect's runtime fuses it.

    Args:
        model: The float graph.
        ranges: Of every tensor that :func:`pipeline.quantization.plan.tensors_to_observe` names.
        dialect: How to write it.
        float_nodes: Names of nodes that stay float.
        means: Of every channel of a tensor, (channels,), by which biases are corrected for what rounding the weights
            does (see :mod:`pipeline.quantization.correct`); layers whose input is not among them are not corrected.
    """
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    writer = _Writer(Graph(copy), ranges, dialect, means or {})
    writer.write(place(writer.graph, dialect, float_nodes), float_nodes)
    onnx.checker.check_model(copy)
    return copy


def quantise_weight(weight: Array, axis: int, bits: int, *, smallest: Array | None = None) -> tuple[Array, Array]:
    """Symmetric, one scale a channel along ``axis``.

    Args:
        weight: Float, any shape.
        axis: The output channels.
        bits: 8 or 7.
        smallest: Lower bounds of the scales, (channels,).

    Returns:
        The int8 values, of the weight's shape, and the float32 scales, (channels,).
    """
    top = 2 ** (bits - 1) - 1
    others = tuple(number for number in range(weight.ndim) if number != axis)
    scale = np.abs(weight).max(axis=others) / top
    scale = np.where(scale > 0, scale, 1.0 / top)
    if smallest is not None:
        scale = np.maximum(scale, smallest)
    shape = [-1 if number == axis else 1 for number in range(weight.ndim)]
    values = np.clip(np.rint(weight / scale.reshape(shape)), -top, top)
    return values.astype(np.int8), scale.astype(np.float32)


class _Writer:
    """Collects new nodes and constants, then rebuilds the node list in order."""

    def __init__(self, graph: Graph, ranges: Mapping[str, Range], dialect: Dialect, means: Mapping[str, Array]) -> None:
        self.graph = graph
        self._means = means
        self._ranges = ranges
        self._dialect = dialect
        self._before: dict[str, list[Any]] = {}
        self._scales: dict[str, float] = {}
        self._same: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._taken = {*graph.constants, graph.input, *graph.producer}
        self._nodes = {node.name for node in graph.model.graph.node}

    def write(self, placement: Placement, float_nodes: frozenset[str]) -> None:
        """Rewrite the graph.

        Args:
            placement: Where INT8 goes.
            float_nodes: Nodes that were to stay float.
        """
        replaced: dict[str, str] = {}
        after: dict[str, list[Any]] = {}
        for name, source in placement.tensors.items():
            pair = self._pair(name, self._ranges[source])
            after[name], replaced[name] = pair, pair[-1].output[0]
        for unit in placement.units.values():
            self._weights(unit)
        if self._dialect.guarded:
            self._guard_float_units(placement, after, float_nodes)
        nodes = list(after.pop(self.graph.input, []))
        for node in list(self.graph.model.graph.node):
            nodes += self._before.get(node.name, [])
            for number, name in enumerate(node.input):
                node.input[number] = replaced.get(name, name)
            nodes.append(node)
            for name in node.output:
                nodes += after.pop(name, [])
        del self.graph.model.graph.node[:]
        self.graph.model.graph.node.extend(nodes)
        drop_unused_constants(self.graph.model.graph)

    def _guard_float_units(
        self, placement: Placement, after: dict[str, list[Any]], float_nodes: frozenset[str]
    ) -> None:
        """Between an isolated float unit and the QuantizeLinear behind it put an operator that changes nothing.

        Only a path of nothing but Relu and Clip makes the runtime quantise the unit, an element-wise one too, which has
        to be guarded where it was named. LeakyRelu with slope 1 is the identity, no optimiser removes it, and behind a
        bare convolution it is fused and costs nothing.
        """
        named = [unit for unit in self.graph.units(self._dialect.elementwise) if unit.name in float_nodes]
        for unit in (*self.graph.units(WEIGHTED), *named):
            if unit.name in placement.units or unit.output not in placement.tensors:
                continue
            if any(name not in placement.tensors for name in self.graph.activations_of(unit.node)):
                continue
            last = unit.activations[-1] if unit.activations else unit.node
            bare = free_name(f"{unit.output}_unguarded", self._taken)
            last.output[0] = bare
            guard = self._node("LeakyRelu", [bare], unit.output, f"{unit.name}_guard", alpha=1.0)
            after[bare] = [guard, *after.pop(unit.output)]

    def _pair(self, name: str, limits: Range) -> list[Any]:
        scale, zero = self._activation(limits)
        self._scales[name] = scale
        dtype = np.int8 if self._dialect.signed_activations else np.uint8
        constants = [
            self._constant(f"{name}_scale", np.array(scale, np.float32)),
            self._constant(f"{name}_zero", np.array(zero, dtype)),
        ]
        quantised, back = (free_name(f"{name}_{suffix}", self._taken) for suffix in ("q", "dq"))
        return [
            self._node("QuantizeLinear", [name, *constants], quantised, f"{name}_QuantizeLinear"),
            self._node("DequantizeLinear", [quantised, *constants], back, f"{name}_DequantizeLinear"),
        ]

    def _activation(self, limits: Range) -> tuple[float, int]:
        """Scale and zero point; float32, so that what is written is what is computed with."""
        if self._dialect.symmetric_activations:
            return float(np.float32(max(-limits.low, limits.high) / 127)), 0
        scale = np.float32((limits.high - limits.low) / 255)
        zero = int(np.clip(np.rint(-limits.low / float(scale)), 0, 255))
        return float(scale), zero - 128 if self._dialect.signed_activations else zero

    def _weights(self, unit: Unit) -> None:
        node = unit.node
        name = self.graph.weight_of(node)
        if name is None:
            return
        weight, axis = self.graph.array(name), _channel_axis(node)
        input_scale = self._scales[node.input[0]]
        bias = (
            self.graph.array(node.input[2]) if len(node.input) > 2 and node.input[2] in self.graph.constants else None
        )
        # A transposed convolution in groups has fewer scales than biases: its bias stays float.
        quantises_bias = self._dialect.quantized_bias and bias is not None and bias.shape == (weight.shape[axis],)
        smallest = np.abs(bias) / (input_scale * _BIAS_LIMIT) if quantises_bias and bias is not None else None
        values, scales = quantise_weight(weight, axis, self._dialect.weight_bits, smallest=smallest)
        if bias is not None:
            bias = self._corrected(node, bias, weight, values, scales)
        base = f"{node.name}_weight"
        # A head that looks at every level of a pyramid has one weight in several layers: it is written once.
        constants = [
            self._shared(f"{base}_q", values),
            self._shared(f"{base}_scale", scales),
            self._shared(f"{base}_zero", np.zeros(len(scales), np.int8)),
        ]
        node.input[1] = free_name(f"{base}_dq", self._taken)
        made = [self._node("DequantizeLinear", constants, node.input[1], base, axis=axis)]
        if quantises_bias and bias is not None:
            made.append(self._bias(node, bias, scales * np.float32(input_scale)))
        elif bias is not None:
            node.input[2] = self._constant(f"{base}_bias", bias.astype(np.float32))
        self._before[node.name] = made

    def _corrected(self, node: Any, bias: Array, weight: Array, values: Array, scales: Array) -> Array:  # noqa: ANN401 - NodeProto
        """The bias, with the mean of what rounding the weight takes away where the mean input is known."""
        mean = self._means.get(node.input[0])
        axis = _channel_axis(node)
        if mean is None or node.op_type == "ConvTranspose" or bias.shape != (weight.shape[axis],):
            return bias
        groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
        weight, values = (np.moveaxis(array, axis, 0) for array in (weight, values))
        rounded = values * scales.reshape(-1, *[1] * (values.ndim - 1))
        if weight.shape[1] * groups != len(mean):
            return bias  # a product over another axis than the channels
        corrected: Array = bias + bias_shift(weight, rounded, mean, groups=groups)
        return corrected

    def _bias(self, node: Any, bias: Array, scales: Array) -> Any:  # noqa: ANN401 - NodeProto

        base = f"{node.name}_bias"
        constants = [
            self._constant(f"{base}_q", np.rint(bias.astype(np.float64) / scales).astype(np.int32)),
            self._constant(f"{base}_scale", scales.astype(np.float32)),
            self._constant(f"{base}_zero", np.zeros(len(scales), np.int32)),
        ]
        node.input[2] = free_name(f"{base}_dq", self._taken)
        return self._node("DequantizeLinear", constants, node.input[2], base, axis=0)

    def _node(self, kind: str, inputs: list[str], output: str, wanted: str, **attributes: float) -> Any:  # noqa: ANN401 - NodeProto
        """A new node, of the wanted name unless one of the network has it."""
        from onnx import helper

        return helper.make_node(kind, inputs, [output], name=free_name(wanted, self._nodes), **attributes)

    def _shared(self, name: str, value: Array) -> str:
        """The name of a constant of that value, which is a new one only if there is none yet."""
        key = (value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).digest())
        if key not in self._same:
            self._same[key] = self._constant(name, value)
        return self._same[key]

    def _constant(self, wanted: str, value: Array) -> str:
        """The name of a new constant, which is the wanted one unless a tensor of the network has it."""
        from onnx import numpy_helper

        name = free_name(wanted, self._taken)
        self.graph.model.graph.initializer.append(numpy_helper.from_array(value, name))
        return name


def _channel_axis(node: Any) -> int:  # noqa: ANN401 - NodeProto
    """The axis of the output channels in a weight."""
    if node.op_type == "Conv":
        return 0
    if node.op_type == "Gemm":
        return 0 if any(attribute.name == "transB" and attribute.i for attribute in node.attribute) else 1
    return 1
