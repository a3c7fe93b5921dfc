"""A user's ONNX file as a model: its identity, the image it takes, and what cannot be handled; nothing of it is run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from pipeline.artifact import sha256_of_file, sha256_of_json
from pipeline.errors import UsageError, first_line
from pipeline.models.missing_file import missing_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["OPSETS", "ImageInput", "OnnxFile", "inner_graphs", "load_onnx", "opset_of", "read_onnx_file"]

OPSETS = (7, 24)
"""Oldest and newest operator set that can be read."""

_LARGEST_BYTES = 2**31 - 1
"""What one protobuf message may hold, and so what can be rewritten in memory."""
_OWN_DOMAINS = frozenset({"", "ai.onnx"})
_QUANTISED = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"})
_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
_CHANNELS = (3, 1)
_AGAIN = "copy or export it again"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageInput:
    """The one input of a file.

    Attributes:
        name: As the file calls it.
        layout: Where the channels stand.
        channels: Three, or one of gray images.
        size: Height and width in pixels; None where the file leaves them open.
        batch: How many images it takes at once; None where it leaves that open.
        dtype: numpy's name of its type; bytes are pixels from 0 to 255, normalised by the graph itself.
    """

    name: str
    layout: Literal["NCHW", "NHWC"]
    channels: int
    size: tuple[int, int] | None
    batch: int | None
    dtype: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OnnxFile:
    """What is known of a file before it is run.

    Attributes:
        opset: Its operator set.
        outputs: Names of its outputs, in order.
        sha256: Over the file and over the files of weights that it names.
    """

    path: Path
    opset: int
    image: ImageInput
    outputs: tuple[str, ...]
    sha256: str


def read_onnx_file(file: Path) -> OnnxFile:
    """Look at a file without its weights.

    Raises:
        UsageError: when it is not there, is no ONNX file, or is of a kind that cannot be handled.
    """
    model = _parsed(file)
    where = str(file)
    external = _external_files(model, file)
    _check_size(file, external)
    opset = _opset(model, where)
    _check_operators(model, where)
    if not model.graph.output:
        raise UsageError("this graph has no output", where=where, fix="export it again, with the scores as output")
    return OnnxFile(
        path=file,
        opset=opset,
        image=_image_input(model, where),
        outputs=tuple(one.name for one in model.graph.output),
        sha256=sha256_of_json([[name, sha256_of_file(path)] for name, path in (("", file), *external)]),
    )


def load_onnx(file: Path) -> Any:  # noqa: ANN401 - ModelProto
    """The whole model, with the weights that lie beside it and its own functions written out.

    Raises:
        UsageError: when it cannot be read.
    """
    import onnx
    from onnx import inliner

    try:
        model = onnx.load(file)
    except Exception as error:  # protobuf, the file system and onnx's own check of places have no common base
        raise _unreadable(file, error) from error
    return inliner.inline_local_functions(model) if model.functions else model


def _parsed(file: Path) -> Any:  # noqa: ANN401 - ModelProto
    """The model without weights that lie in other files."""
    import onnx

    if not file.is_file():
        raise missing_file("ONNX file", file)
    try:
        model = onnx.load(file, load_external_data=False)
    except Exception as error:  # protobuf's errors have no common base with the file system's
        raise _unreadable(file, error) from error
    if any(isinstance(text, bytes) for text in _texts(model.graph)):  # what protobuf gives for text that is none
        raise UsageError("this ONNX file is damaged", where=str(file), got="a name that is no text", fix=_AGAIN)
    if not model.graph.node:
        raise UsageError("this is no ONNX file, or one without operators", where=str(file), expected="a trained model")
    return model


def _unreadable(file: Path, error: Exception) -> UsageError:
    return UsageError("this ONNX file cannot be read", where=str(file), got=first_line(error), fix=_AGAIN)


def _external_files(model: Any, file: Path) -> list[tuple[str, Path]]:  # noqa: ANN401 - ModelProto
    """Name and place of the files beside the model that hold weights, sorted."""
    names = {entry.value for tensor in _tensors(model) for entry in tensor.external_data if entry.key == "location"}
    try:
        return [(name, _external_file(name, file)) for name in sorted(names)]
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, a null byte, a loop of links
        raise _unreadable(file, error) from error


def _external_file(name: str, file: Path) -> Path:
    """Where a file beside the model lies."""
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts:
        raise UsageError(
            "this ONNX file keeps weights outside its own folder",
            where=str(file),
            got=name,
            fix="save it again with its weights beside it",
        )
    path = file.parent / place
    if path.is_symlink() or not path.resolve().is_relative_to(file.parent.resolve()):
        raise UsageError(
            "weights of this ONNX file lie behind a link", where=str(file), got=name, fix="copy them beside it"
        )
    if path.is_file() and path.stat().st_nlink > 1:  # may be any file of this file system under another name
        raise UsageError(
            "weights of this ONNX file have another name elsewhere, a hard link",
            where=str(file),
            got=name,
            fix="copy them: a copy has one name",
        )
    if not path.is_file():
        raise UsageError(
            "weights of this ONNX file are not there",
            where=str(file),
            got=f"no file {name} beside it",
            fix="copy it there as well: the model was saved with external data",
        )
    return path


def _check_size(file: Path, external: list[tuple[str, Path]]) -> None:
    size = file.stat().st_size + sum(path.stat().st_size for _, path in external)
    if size > _LARGEST_BYTES:
        raise UsageError("this ONNX file is too large", where=str(file), got=f"{size / 1e9:.1f} GB", expected="2 GB")


def _opset(model: Any, where: str) -> int:  # noqa: ANN401 - ModelProto
    oldest, newest = OPSETS
    found = opset_of(model)
    if not oldest <= found <= newest:
        raise UsageError(
            "this operator set cannot be read",
            where=where,
            got=f"opset {found}",
            expected=f"{oldest} to {newest}",
            fix="export it again with opset 18, or convert it: onnx.version_converter.convert_version",
        )
    return found


def opset_of(model: Any) -> int:  # noqa: ANN401 - ModelProto
    """The version of ONNX's own operators that a model is written in; 1 where it does not say."""
    return next((int(entry.version) for entry in model.opset_import if entry.domain in _OWN_DOMAINS), 1)


def _check_operators(model: Any, where: str) -> None:  # noqa: ANN401 - ModelProto
    """Refuse what is no plain float network."""
    own = {(function.domain, function.name) for function in model.functions}
    nodes = [*_nodes(model.graph), *(node for function in model.functions for node in function.node)]
    foreign = sorted(
        {
            f"{node.domain}.{node.op_type}"
            for node in nodes
            if node.domain not in _OWN_DOMAINS and (node.domain, node.op_type) not in own
        }
    )
    if foreign:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        raise UsageError(
            "this ONNX file has operators that are not ONNX's own",
            where=where,
            got=", ".join(foreign[:3]) + more,
            fix="export it without them; a file that a runtime optimised for itself cannot be taken further",
        )
    quantised = [node for node in nodes if node.op_type in _QUANTISED or node.op_type.startswith("QLinear")]
    if quantised:
        raise UsageError(
            "this ONNX file is quantised already",
            where=where,
            got=f"{len(quantised)} nodes such as {quantised[0].op_type}",
            fix="give the float file that it was made from",
        )
    dice = sorted({node.op_type for node in nodes if node.op_type in _RANDOM})
    if dice:
        raise UsageError(
            "this ONNX file answers at random",
            where=where,
            got=", ".join(dice),
            fix="export it in evaluation mode, without operators that draw numbers",
        )
    outside = any(node.op_type in _WEIGHTED for node in model.graph.node)
    if not outside and not model.functions and any(node.op_type in _WEIGHTED for node in nodes):
        raise UsageError(
            "this whole network stands inside a branch or a loop",
            where=where,
            got=", ".join(sorted({node.op_type for node in model.graph.node if inner_graphs(node)})),
            fix="export it without control flow",
        )


def _image_input(model: Any, where: str) -> ImageInput:  # noqa: ANN401 - ModelProto
    """The one input that is no constant; says what it is where it is no image."""
    from onnx import TensorProto, helper

    constants = {item.name for item in model.graph.initializer}
    given = [item for item in model.graph.input if item.name not in constants]
    names = ", ".join(item.name for item in given)
    if len(given) != 1:
        raise UsageError(
            "this ONNX file takes several inputs" if given else "this ONNX file takes no input",
            where=where,
            got=names or "constants only",
            expected="one image",
        )
    (port,) = given
    tensor = port.type.tensor_type
    expected = "an image: (batch, channels, height, width) or (batch, height, width, channels) of 3 channels, or of 1"
    if not port.type.HasField("tensor_type"):
        raise UsageError("this input is no tensor", where=f"{where}, input {port.name!r}", expected=expected)
    dtypes = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.UINT8}
    if tensor.elem_type not in dtypes:
        got = TensorProto.DataType.Name(tensor.elem_type).lower()
        raise UsageError(
            "this input is no image", where=f"{where}, input {port.name!r}", got=got, expected="floats or uint8"
        )
    dims = [side.dim_value if side.HasField("dim_value") and side.dim_value > 0 else None for side in tensor.shape.dim]
    if not tensor.HasField("shape"):
        dims = [None] * 4
    found = _layout(dims, model.graph, port.name)
    if found is None:
        shown = "x".join("?" if side is None else str(side) for side in dims) or "a single number"
        raise UsageError("this input is no image", where=f"{where}, input {port.name!r}", got=shown, expected=expected)
    layout, channels = found
    height, width = dims[2:] if layout == "NCHW" else dims[1:3]
    return ImageInput(
        name=port.name,
        layout=layout,
        channels=channels,
        size=None if height is None or width is None else (height, width),
        batch=dims[0],
        dtype=str(helper.tensor_dtype_to_np_dtype(tensor.elem_type)),
    )


_Layout = tuple[Literal["NCHW", "NHWC"], int]


def _layout(dims: list[int | None], graph: Any, name: str) -> _Layout | None:  # noqa: ANN401 - GraphProto
    """Where the channels stand, and how many; where the shape leaves that open, as the first operators take it."""
    if len(dims) != 4:
        return None
    for channels in _CHANNELS:
        if dims[1] == channels:
            return "NCHW", channels
        if dims[3] == channels:
            return "NHWC", channels
    return None if dims[1] is not None and dims[3] is not None else _layout_as_taken(dims, graph, name)


def _layout_as_taken(dims: list[int | None], graph: Any, name: str) -> _Layout | None:  # noqa: ANN401 - GraphProto
    weights = {item.name: item.dims for item in graph.initializer}
    moved = False
    for node in graph.node:
        if name in node.input and node.op_type == "Transpose":
            perm = next((list(one.ints) for one in node.attribute if one.name == "perm"), [])
            if perm != [0, 3, 1, 2] or dims[3] is not None:
                return None
            moved = True
        if node.op_type == "Conv" and node.input[1] in weights:
            group = next((one.i for one in node.attribute if one.name == "group"), 1)
            channels = weights[node.input[1]][1] * group
            fits = channels in _CHANNELS and (moved or dims[1] is None)
            return ("NHWC" if moved else "NCHW", channels) if fits else None
    return None


def _nodes(graph: Any) -> Iterator[Any]:  # noqa: ANN401 - GraphProto
    """All nodes, those of branches and loops too."""
    for node in graph.node:
        yield node
        for inner in inner_graphs(node):
            yield from _nodes(inner)


def _texts(graph: Any) -> Iterator[str | bytes]:  # noqa: ANN401 - GraphProto
    """Every name in the graph."""
    for item in (*graph.input, *graph.output, *graph.initializer):
        yield item.name
    for node in _nodes(graph):
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)


def inner_graphs(node: Any) -> list[Any]:  # noqa: ANN401 - NodeProto
    """The graphs of a node's branches or loop."""
    return [
        inner
        for attribute in node.attribute
        for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs)
    ]


def _tensors(model: Any) -> Iterator[Any]:  # noqa: ANN401 - ModelProto
    """All constants: initializers and the values of attributes, those in the model's own functions too."""
    yield from model.graph.initializer
    for node in (one for part in (model.graph, *model.functions) for one in _nodes(part)):
        for attribute in node.attribute:
            yield from (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors)
        for inner in inner_graphs(node):
            yield from inner.initializer
