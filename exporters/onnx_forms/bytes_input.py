"""An ONNX graph that takes the bytes of an image: its preprocessing's arithmetic moved into it, checked afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from exporters.onnx_forms.reference import largest_difference, random_images, reference_session, require_parity
from pipeline.image_input import normalised

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.preprocess import PreprocessSpec

__all__ = ["BYTES_INPUT", "BYTES_NODES", "BytesFromFloat", "check_bytes"]

BYTES_INPUT = "pixels"
"""Name of the graph's new input, uint8 (batch, height, width, 3)."""

BYTES_NODES = ("pixels_cast", "pixels_planes", "pixels_share", "pixels_centred", "pixels_normalised")
"""Names of the nodes between it and the old one, in their order; each has an output of its name but the last."""

_LIMIT = 1e-5
"""Largest difference allowed, as a fraction of the largest output: the same float32 operations in the same order."""

_INPUTS = 4


def BytesFromFloat(model: Path, path: Path, preprocess: PreprocessSpec) -> float:  # noqa: N802 - conversions are named <Target>From<Source>
    """Write the graph with the image's bytes as its input, in the channel order of ``preprocess``.

    What is moved into the graph, in the order and precision of :func:`pipeline.image_input.normalised`: to float32, to
    channels first, to [0, 1], less the mean, by the standard deviation. Resizing and cropping stay outside.

    Args:
        model: Takes float32 (batch, 3, height, width); its weights, ranges and output stay as they are.
        path: Where to write.
        preprocess: Whose arithmetic is moved.

    Returns:
        The largest difference seen, see :func:`check_bytes`.

    Raises:
        ParityError: when the two graphs do not compute the same.
    """
    import onnx

    graph_model = onnx.load(model)
    graph = graph_model.graph
    (given,) = graph.input
    batch, channels, height, width = given.type.tensor_type.shape.dim
    pixels = onnx.ValueInfoProto(name=BYTES_INPUT)
    pixels.type.tensor_type.elem_type = onnx.TensorProto.UINT8
    pixels.type.tensor_type.shape.dim.extend((batch, height, width, channels))
    nodes, constants = _arithmetic(given.name, preprocess)
    kept = list(graph.node)
    del graph.node[:]
    graph.node.extend((*nodes, *kept))
    graph.initializer.extend(constants)
    graph.value_info.append(given)
    del graph.input[:]
    graph.input.append(pixels)
    onnx.checker.check_model(graph_model, full_check=True)
    onnx.save(graph_model, path)
    return check_bytes(model, path, preprocess)


def _arithmetic(output: str, preprocess: PreprocessSpec) -> tuple[list[Any], list[Any]]:
    """Nodes from the bytes to ``output``, and their constants."""
    from onnx import TensorProto, helper, numpy_helper

    cast, planes, share, centred, last = BYTES_NODES
    # Cast comes first: TensorRT takes bytes as an input of the network and as nothing else.
    nodes = [
        helper.make_node("Cast", [BYTES_INPUT], [cast], name=cast, to=TensorProto.FLOAT),
        helper.make_node("Transpose", [cast], [planes], name=planes, perm=(0, 3, 1, 2)),
        helper.make_node("Div", [planes, "pixels_white"], [share], name=share),
        helper.make_node("Sub", [share, "pixels_mean"], [centred], name=centred),
        helper.make_node("Div", [centred, "pixels_std"], [output], name=last),
    ]
    values = {"pixels_white": (255.0,), "pixels_mean": preprocess.mean, "pixels_std": preprocess.std}
    constants = [
        numpy_helper.from_array(np.asarray(value, np.float32).reshape(1, -1, 1, 1), name)
        for name, value in values.items()
    ]
    return nodes, constants


def check_bytes(model: Path, path: Path, preprocess: PreprocessSpec) -> float:
    """Compare the two graphs on random images, the first given what the preprocessing makes of them.

    Returns:
        The largest difference, as a fraction of the largest output.

    Raises:
        ParityError: with the figures, when it is more than rounding.
    """
    floats, by_bytes = reference_session(model), reference_session(path)
    spec = preprocess.model_dump(mode="json")
    worst = 0.0
    for image in random_images(by_bytes, _INPUTS):
        wanted = floats.run(None, {floats.get_inputs()[0].name: normalised(image, spec)[None]})
        found = by_bytes.run(None, {BYTES_INPUT: image[None]})
        worst = max(worst, *map(largest_difference, wanted, found))
    require_parity(
        worst,
        _LIMIT,
        what="the graph with uint8 input does not compute what it was made from",
        where=model.name,
        of=f"the largest output, on {_INPUTS} random images",
        fix="build with --input float32",
    )
    return worst
