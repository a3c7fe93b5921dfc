"""An ONNX graph for one image opened to several at once, and checked to treat each as it would alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from exporters.onnx_forms.reference import largest_difference, random_images, reference_session, require_parity
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["OpenBatchFromFixed", "check_batches", "has_open_batch"]

_BATCH = "batch"
_LIMIT = 1e-3
"""Largest difference allowed, as a fraction of the largest output: kernels for several images add in another order."""

_IMAGES = 3
_FIX = "leave build.tensorrt.largest_batch at 1"


def has_open_batch(model: Path) -> bool:
    """Whether the first axis of the graph's input has no fixed size."""
    import onnx

    (given,) = onnx.load(model, load_external_data=False).graph.input
    return not given.type.tensor_type.shape.dim[0].HasField("dim_value")


def OpenBatchFromFixed(model: Path, path: Path) -> float:  # noqa: N802 - conversions are named <Target>From<Source>
    """Write the graph with the first axis of its input and outputs open.

    A Reshape to a constant shape that begins with 1 is made to keep the first axis of what it is given.

    Args:
        model: For inputs whose first axis is 1.
        path: Where to write; may be ``model``.

    Returns:
        The largest difference seen, see :func:`check_batches`.

    Raises:
        ParityError: when several images at once are not treated like one after the other.
        UsageError: when the opened graph cannot be run on several at all.
    """
    import onnx

    opened = onnx.load(model)
    graph = opened.graph
    for port in (*graph.input, *graph.output):
        port.type.tensor_type.shape.dim[0].dim_param = _BATCH
    del graph.value_info[:]  # tells the sizes of one image
    _open_reshapes(graph)
    worst = check_batches(model, opened.SerializeToString())
    onnx.save(opened, path)
    return worst


def _open_reshapes(graph: Any) -> None:  # noqa: ANN401 - GraphProto
    from onnx import numpy_helper

    constants = {item.name: item for item in graph.initializer}
    for node in graph.node:
        if node.op_type != "Reshape" or node.input[1] not in constants:
            continue
        shape = numpy_helper.to_array(constants[node.input[1]]).copy()
        if shape.size and shape[0] == 1:
            if -1 in shape:
                shape[0] = 0  # that of the input, unless the node is told to take it at its word
                kept = [attribute for attribute in node.attribute if attribute.name != "allowzero"]
                del node.attribute[:]
                node.attribute.extend(kept)
            else:
                shape[0] = -1  # what is left when all other sizes are
            name = f"{node.output[0]}_shape"  # another node may take the old one for something else
            graph.initializer.append(numpy_helper.from_array(shape, name))
            node.input[1] = name


def check_batches(fixed: Path, opened: bytes) -> float:
    """Compare a batch of random images in the opened graph with each of them in the fixed one.

    Returns:
        The largest difference, as a fraction of the largest output.

    Raises:
        ParityError: with the figures, when it is more than another order of adding explains.
        UsageError: when the opened graph does not take the batch.
    """
    one_by_one, together = reference_session(fixed), reference_session(opened)
    name, images = one_by_one.get_inputs()[0].name, random_images(one_by_one, _IMAGES)
    singles = [one_by_one.run(None, {name: image[None]}) for image in images]
    wanted = [np.concatenate(parts) for parts in zip(*singles, strict=True)]
    try:
        found = together.run(None, {name: images})
    except Exception as error:  # onnxruntime's errors have no common base that it exports
        raise UsageError(
            "this network takes one image at a time: its graph holds sizes of one",
            where=fixed.name,
            got=str(error).strip().splitlines()[0],
            fix=_FIX,
        ) from error
    worst = max(largest_difference(one, other) for one, other in zip(wanted, found, strict=True))
    require_parity(
        worst,
        _LIMIT,
        what="several images at once are not treated like one after the other",
        where=fixed.name,
        of="the largest output",
        fix=_FIX,
    )
    return worst
