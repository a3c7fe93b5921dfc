"""Rewrites that change nothing but the spelling: so that runtimes and the quantiser meet one form of each idea."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.models.onnx_file import inner_graphs

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["canonicalise", "drop_unused_constants", "names_used"]


def canonicalise(model: Any) -> None:  # noqa: ANN401 - ModelProto
    """Rewrite in place: a mean over height and width becomes GlobalAveragePool, which has INT8 kernels."""
    from onnx import helper, numpy_helper

    graph = model.graph
    constants = {item.name: item for item in graph.initializer}
    ranks = {
        item.name: len(item.type.tensor_type.shape.dim)
        for item in (*graph.value_info, *graph.input, *graph.output)
        if item.type.tensor_type.HasField("shape")
    }
    nodes = []
    for node in graph.node:
        axes = _axes(node, constants, numpy_helper.to_array) if node.op_type == "ReduceMean" else None
        rank = ranks.get(node.input[0]) if node.input else None
        if axes is None or rank != 4 or {axis % 4 for axis in axes} != {2, 3}:
            nodes.append(node)
            continue
        keeps = next((attribute.i for attribute in node.attribute if attribute.name == "keepdims"), 1)
        pooled = node.output[0] if keeps else f"{node.output[0]}_pooled"
        nodes.append(helper.make_node("GlobalAveragePool", [node.input[0]], [pooled], name=node.name))
        if not keeps:
            nodes.append(helper.make_node("Flatten", [pooled], [node.output[0]], name=f"{node.name}_flat", axis=1))
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unused_constants(graph)


def drop_unused_constants(graph: Any) -> None:  # noqa: ANN401 - GraphProto
    """Remove the initializers that no node, no branch within a node and no output names."""
    used = names_used(graph.node) | {output.name for output in graph.output}
    kept = [item for item in graph.initializer if item.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def names_used(nodes: Iterable[Any]) -> set[str]:
    """The tensors that nodes take, those of their branches and loops too."""
    names: set[str] = set()
    for node in nodes:
        names.update(node.input)
        for inner in inner_graphs(node):
            names |= names_used(inner.node) | {output.name for output in inner.output}
    return names


def _axes(node: Any, constants: dict[str, Any], to_array: Any) -> list[int] | None:  # noqa: ANN401 - onnx types
    for attribute in node.attribute:
        if attribute.name == "axes":
            return list(attribute.ints)
    if len(node.input) > 1 and node.input[1] in constants:
        return [int(axis) for axis in to_array(constants[node.input[1]])]
    return None
