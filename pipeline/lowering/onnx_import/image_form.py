"""The graph's input as every later stage feeds it: one image, float32, channels first, of one size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.models.onnx_file import ImageInput

__all__ = ["take_float_image"]

_TO_CHANNELS_FIRST = (0, 3, 1, 2)
_TO_CHANNELS_LAST = (0, 2, 3, 1)
_MOVES = frozenset({"Transpose", "Identity", "Reshape", "Squeeze", "Unsqueeze"})


def take_float_image(model: Any, image: ImageInput, size: tuple[int, int]) -> None:  # noqa: ANN401 - ModelProto
    """Rewrite in place so that the input is float32 (1, channels, height, width) under the file's own name.

    Channels last become a transposition, or go with one that the graph begins with. Bytes become floats of the same
    values, 0 to 255. All sizes that were inferred for the old form are taken out.

    Args:
        model: Computes in float32 already, see :mod:`pipeline.lowering.onnx_import.float32`.
        image: What it takes.
        size: Height and width.
    """
    from onnx import TensorProto, helper

    graph = model.graph
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(image.name, TensorProto.FLOAT, (1, image.channels, *size)))
    del graph.value_info[:]
    if image.batch is not None and image.batch > 1:
        _take_one_image(graph, image.batch)
    taken = image.name
    if image.dtype == "uint8" and not _only_cast(graph, taken):
        taken = _as_bytes(graph, taken)
    if image.layout == "NHWC":
        _channels_last(graph, taken)


def _consumers(graph: Any, name: str) -> list[Any]:  # noqa: ANN401 - GraphProto
    return [node for node in graph.node if name in node.input]


def _only_cast(graph: Any, name: str) -> bool:  # noqa: ANN401 - GraphProto
    """Whether bytes are moved and cast to float and nothing else; then the casts lose their meaning and go."""
    from onnx import TensorProto

    casts, waiting = [], [name]
    while waiting:
        for node in _consumers(graph, waiting.pop()):
            to = next((one.i for one in node.attribute if one.name == "to"), None)
            if node.op_type == "Cast" and to == TensorProto.FLOAT:
                casts.append(node)
            elif node.op_type in _MOVES:
                waiting.append(node.output[0])
            else:
                return False
    for node in casts:
        _pass_on(node)
    return True


def _pass_on(node: Any) -> None:  # noqa: ANN401 - NodeProto
    """Let the node hand on what it gets."""
    node.op_type = "Identity"
    del node.attribute[:]


def _as_bytes(graph: Any, name: str) -> str:  # noqa: ANN401 - GraphProto
    """Bytes for those that take the input, from the floats that come; returns their name."""
    from onnx import TensorProto, helper

    rounded, made = f"{name}_rounded", f"{name}_as_bytes"
    _put_behind(
        graph,
        name,
        [
            helper.make_node("Round", [name], [rounded], name=rounded),
            helper.make_node("Cast", [rounded], [made], name=made, to=TensorProto.UINT8),
        ],
        _consumers(graph, name),
    )
    return made


def _channels_last(graph: Any, name: str) -> None:  # noqa: ANN401 - GraphProto
    """Give those that take ``name`` channels last; where one asks for channels first at once, it gets what came."""
    from onnx import helper

    takers = []
    for node in _consumers(graph, name):
        perm = next((tuple(one.ints) for one in node.attribute if one.name == "perm"), ())
        if node.op_type == "Transpose" and perm == _TO_CHANNELS_FIRST:
            _pass_on(node)
        else:
            takers.append(node)
    if takers:
        made = f"{name}_channels_last"
        _put_behind(
            graph, name, [helper.make_node("Transpose", [name], [made], name=made, perm=_TO_CHANNELS_LAST)], takers
        )


def _put_behind(graph: Any, name: str, nodes: list[Any], takers: list[Any]) -> None:  # noqa: ANN401 - GraphProto
    """Put nodes behind the tensor ``name``; the takers get what the last of them gives."""
    for taker in takers:
        for position, taken in enumerate(taker.input):
            if taken == name:
                taker.input[position] = nodes[-1].output[0]
    rest = list(graph.node)
    behind = next((number + 1 for number, node in enumerate(rest) if name in node.output), 0)
    del graph.node[:]
    graph.node.extend([*rest[:behind], *nodes, *rest[behind:]])


def _take_one_image(graph: Any, batch: int) -> None:  # noqa: ANN401 - GraphProto
    """Let shapes that begin with the file's batch begin with one image; what else holds it is found by comparing."""
    from onnx import numpy_helper

    constants = {item.name: item for item in graph.initializer}
    for node in graph.node:
        if node.op_type != "Reshape" or node.input[1] not in constants:
            continue
        shape = numpy_helper.to_array(constants[node.input[1]]).copy()
        if shape.size and shape[0] == batch:
            shape[0] = 1
            own = f"{node.output[0]}_shape_of_one"
            graph.initializer.append(numpy_helper.from_array(shape, own))
            node.input[1] = own
