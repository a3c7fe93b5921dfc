"""A float ONNX graph in float16, checked against the graph it was made from."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from exporters.onnx_forms.bytes_input import BYTES_NODES
from exporters.onnx_forms.reference import random_images, reference_session, require_parity
from pipeline.errors import UsageError
from pipeline.quantization.choices import choosing_nodes, smooth_outputs, watching
from pipeline.quantization.graph import Graph

if TYPE_CHECKING:
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
    from onnxconverter_common import float16

    graph = onnx.load(model)
    # The converter changes the types around a Cast and not what it casts to; and bytes are normalised in float32 once,
    # rather than rounded three times. What chooses is left too: float16 tells pixels above 1,024 apart by whole ones.
    choosing = choosing_nodes(Graph(graph))
    kept = choosing | frozenset(BYTES_NODES)
    floats = [node.name for node in graph.graph.node if node.op_type == "Cast" or node.name in kept]
    with warnings.catch_warnings():
        # It warns of every constant that float16 cannot hold; whether that matters is measured below.
        warnings.filterwarnings("ignore", message=r"the float32 number .* will be truncated", category=UserWarning)
        try:
            converted = float16.convert_float_to_float16(graph, keep_io_types=True, node_block_list=floats)
        except ValueError as error:
            raise UsageError("this graph cannot be converted to float16", where=model.name, got=str(error)) from error
    onnx.save(converted, half)
    return check_half(model, half)


def check_half(model: Path, half: Path) -> float:
    """Compare the two graphs on random inputs, in ONNX Runtime on the CPU.

    Of a network that chooses, such as a detector, what it chooses from is compared.

    Returns:
        The largest difference, as a fraction of how far the outputs move from one input to the next.

    Raises:
        ParityError: with the figures, when it is more than float16 explains.
    """
    import onnx

    graph = Graph(onnx.load(model))
    # Before anything is chosen: what is chosen jumps for a rounding.
    names = smooth_outputs(graph)(graph.model.graph.node[0].name)
    sessions = [reference_session(watching(onnx.load(path), names).SerializeToString()) for path in (model, half)]
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
