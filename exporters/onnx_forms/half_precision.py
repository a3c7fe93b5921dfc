"""A float ONNX graph in float16, checked against the graph it was made from."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from exporters.onnx_forms.bytes_input import BYTES_NODES
from exporters.onnx_forms.reference import random_images, reference_session, require_parity
from pipeline.errors import UsageError
from pipeline.lowering.canonical import names_used
from pipeline.quantization.choices import choosing_nodes, nodes_behind_choices, smooth_outputs, watching
from pipeline.quantization.graph import Graph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pipeline.session import Array

__all__ = ["HalfFromFloat", "check_half"]

_LIMIT = 0.1
"""Largest difference allowed, as a fraction of how far the outputs move from one input to the next.

Held against the largest output it would say little: a network with random weights answers nearly the same to every
input. Float16 alone was seen to make 0.002 to 0.04 in the networks of ``docs/targets.md``, all of random weights; the
sign of one of a first layer's channels turned makes 0.2 to 0.75.
"""

_INPUTS = 4


def HalfFromFloat(model: Path, half: Path) -> float:  # noqa: N802 - conversions are named <Target>From<Source>
    """Write the graph in float16 with its inputs and outputs left float32.

    Args:
        model: The float graph; another file than ``half``, which is compared with it.
        half: Where to write.

    Returns:
        The largest difference seen, see :func:`check_half`.

    Raises:
        ParityError: when the two graphs do not compute the same to what float16 can tell apart.
        UsageError: when the converter cannot convert it.
    """
    if model.resolve() == half.resolve():
        message = "a graph is not compared with itself"
        raise ValueError(message)
    import onnx

    graph = onnx.load(model)
    choosing = choosing_nodes(Graph(graph))
    if choosing:
        # What chooses is left: float16 tells pixels above 1,024 apart by whole ones, and has no area above 65,504.
        _convert_features(graph, choosing, where=model.name)
        onnx.save(graph, half)
    else:
        onnx.save(_converted(graph, where=model.name), half)
    return check_half(model, half)


def _converted(graph: Any, *, where: str) -> Any:  # noqa: ANN401 - ModelProto
    """The model in float16, its inputs and outputs in float32."""
    from onnxconverter_common import float16

    # The converter changes the types around a Cast and not what it casts to; and bytes are normalised in float32 once,
    # rather than rounded three times.
    floats = [node.name for node in graph.graph.node if node.op_type == "Cast" or node.name in BYTES_NODES]
    with warnings.catch_warnings():
        # It warns of every constant that float16 cannot hold; whether that matters is measured below.
        warnings.filterwarnings("ignore", message=r"the float32 number .* will be truncated", category=UserWarning)
        try:
            return float16.convert_float_to_float16(graph, keep_io_types=True, node_block_list=floats)
        except ValueError as error:
            raise UsageError(
                "this graph cannot be converted to float16",
                where=where,
                got=str(error),
                fix="set build.precision=float",
            ) from error


def _convert_features(model: Any, choosing: frozenset[str], *, where: str) -> None:  # noqa: ANN401 - ModelProto
    """In place: what computes features is converted, before and behind the choices, each as a model of its own."""
    from onnx import shape_inference

    behind = nodes_behind_choices(Graph(model))
    nodes = list(model.graph.node)
    parts = [
        [node for node in nodes if node.name not in choosing and (node.name in behind) is late]
        for late in (False, True)
    ]
    typed = shape_inference.infer_shapes(model).graph
    told = {item.name: item for item in (*typed.value_info, *typed.input, *typed.output)}
    made = [_converted_part(model, part, told, f"part{number}", where) for number, part in enumerate(parts) if part]
    del model.graph.node[:], model.graph.value_info[:]
    kept = [node for node in nodes if node.name in choosing]
    constants = [item for item in model.graph.initializer if item.name in names_used(kept)]
    del model.graph.initializer[:]
    model.graph.initializer.extend(constants)
    for part in made:
        kept += part.graph.node
        model.graph.initializer.extend(part.graph.initializer)
    model.graph.node.extend(_in_order(kept, model.graph))


def _converted_part(
    model: Any,  # noqa: ANN401 - ModelProto
    nodes: Sequence[Any],
    told: Mapping[str, Any],
    prefix: str,
    where: str,
) -> Any:  # noqa: ANN401 - ModelProto
    """Some nodes of a model as one of their own, in float16 with the tensors at its border in float32."""
    from onnx import helper

    constants = [item for item in model.graph.initializer if item.name in names_used(nodes)]
    made = {name for node in nodes for name in node.output}
    own = {node.name for node in nodes}
    outside = names_used(node for node in model.graph.node if node.name not in own)
    outside |= {output.name for output in model.graph.output}
    known = made | {item.name for item in constants} | {""}
    taken = [name for name in dict.fromkeys(name for node in nodes for name in node.input) if name not in known]
    given = [name for node in nodes for name in node.output if name in outside]
    inside = [told[name] for name in made - set(given) if name in told]
    graph = helper.make_graph(
        nodes, prefix, [told[name] for name in taken], [told[name] for name in given], constants, value_info=inside
    )
    part = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    part = _converted(part, where=where)
    border = {*taken, *given}

    def renamed(name: str) -> str:
        return name if not name or name in border else f"{prefix}_{name}" if name not in made else name

    for node in part.graph.node:
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
        node.name = f"{prefix}_{node.name}" if node.op_type == "Cast" else node.name
    for item in part.graph.initializer:
        item.name = renamed(item.name)
    return part


def _in_order(nodes: Sequence[Any], graph: Any) -> list[Any]:  # noqa: ANN401 - onnx types
    """The nodes, each behind those that make what it takes."""
    there = {item.name for item in (*graph.initializer, *graph.input)} | {""}
    ordered, waiting = [], list(nodes)
    while waiting:
        ready = [node for node in waiting if there.issuperset(node.input)]
        if not ready:
            message = f"nothing makes what {waiting[0].name} takes"
            raise ValueError(message)
        placed = {id(node) for node in ready}
        waiting = [node for node in waiting if id(node) not in placed]
        for node in ready:
            there.update(node.output)
        ordered += ready
    return ordered


def check_half(model: Path, half: Path) -> float:
    """Compare the two graphs on random inputs, in ONNX Runtime on the CPU.

    Of a network that chooses, such as a detector, what it chooses from is compared.

    Returns:
        The largest difference, as a fraction of how far the outputs move from one input to the next.

    Raises:
        ParityError: with the figures, when it is more than float16 explains.
    """
    import onnx

    floats = onnx.load(model)
    # Before anything is chosen: what is chosen jumps for a rounding.
    names = smooth_outputs(Graph(floats))(floats.graph.node[0].name)
    sessions = [reference_session(watching(one, names).SerializeToString()) for one in (floats, onnx.load(half))]
    name, images = sessions[0].get_inputs()[0].name, random_images(sessions[0], _INPUTS)
    wanted, found = ([session.run(None, {name: image[None]}) for image in images] for session in sessions)
    pairs = zip(zip(*wanted, strict=True), zip(*found, strict=True), strict=True)
    worst = max(_difference(np.stack(one), np.stack(other)) for one, other in pairs)
    require_parity(
        worst,
        _LIMIT,
        what="the float16 graph does not compute what the float graph computes",
        where=model.name,
        of=f"how far its outputs move, on {_INPUTS} random inputs",
        fix="build float or int8: some value of this network does not fit into float16",
    )
    return worst


def _difference(wanted: Array, found: Array) -> float:
    """Of one output over all inputs, (inputs, ...); infinite when one is no number."""
    moved = float(np.abs(wanted - wanted.mean(axis=0)).max()) or float(np.abs(wanted).max()) or 1.0
    difference = float(np.abs(wanted - found).max()) / moved
    return difference if np.isfinite(difference) else float("inf")
