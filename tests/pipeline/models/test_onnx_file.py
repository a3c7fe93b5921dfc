"""What is seen of an ONNX file before it is run: what it takes, and why it is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.errors import UsageError
from pipeline.models.onnx_file import ImageInput, load_onnx, read_onnx_file

if TYPE_CHECKING:
    from pathlib import Path

OnnxNetwork = Callable[..., Any]


def _saved(model: Any, folder: Path, name: str = "model.onnx", **how: Any) -> Path:  # noqa: ANN401 - ModelProto
    onnx.save(model, folder / name, **how)
    return folder / name


def _graph(*nodes: Any, opset: int = 13, inputs: dict[str, tuple[int, tuple[Any, ...]]] | None = None) -> Any:  # noqa: ANN401
    """A model of these nodes, from ``image`` to ``scores``."""
    ports = inputs or {"image": (TensorProto.FLOAT, (1, 3, 8, 8))}
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(name, *port) for name, port in ports.items()],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)],
    )
    domains = {"": opset, **{node.domain: 1 for node in nodes if node.domain}}
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(*entry) for entry in domains.items()])


@pytest.mark.parametrize(
    ("habits", "image"),
    [
        ({}, ImageInput(name="image", layout="NCHW", channels=3, size=(16, 16), batch=1, dtype="float32")),
        (
            {"shape": ("n", 3, 16, 24)},
            ImageInput(name="image", layout="NCHW", channels=3, size=(16, 24), batch=None, dtype="float32"),
        ),
        (
            {"shape": (4, 3, 16, 16)},
            ImageInput(name="image", layout="NCHW", channels=3, size=(16, 16), batch=4, dtype="float32"),
        ),
        (
            {"shape": (1, 3, "h", "w")},
            ImageInput(name="image", layout="NCHW", channels=3, size=None, batch=1, dtype="float32"),
        ),
        (
            {"shape": (1, 16, 24, 3), "layout": "NHWC"},
            ImageInput(name="image", layout="NHWC", channels=3, size=(16, 24), batch=1, dtype="float32"),
        ),
        (
            {"shape": (1, 16, 16, 3), "layout": "NHWC", "dtype": "uint8"},
            ImageInput(name="image", layout="NHWC", channels=3, size=(16, 16), batch=1, dtype="uint8"),
        ),
        (
            {"shape": ("n", "c", "h", "w")},
            ImageInput(name="image", layout="NCHW", channels=3, size=None, batch=None, dtype="float32"),
        ),
        (
            {"shape": ("n", "h", "w", "c"), "layout": "NHWC"},
            ImageInput(name="image", layout="NHWC", channels=3, size=None, batch=None, dtype="float32"),
        ),
        (
            {"initializers_as_inputs": True},
            ImageInput(name="image", layout="NCHW", channels=3, size=(16, 16), batch=1, dtype="float32"),
        ),
        (
            {"dtype": "float16"},
            ImageInput(name="image", layout="NCHW", channels=3, size=(16, 16), batch=1, dtype="float16"),
        ),
    ],
)
def test_the_image_it_takes(
    onnx_network: OnnxNetwork, tmp_path: Path, habits: dict[str, Any], image: ImageInput
) -> None:
    file = read_onnx_file(_saved(onnx_network(**habits), tmp_path))

    assert file.image == image
    assert file.outputs == ("scores",)
    assert file.opset == 13


_PLAIN = helper.make_node("Relu", ["image"], ["scores"])


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (_graph(_PLAIN, opset=6), "opset 6"),
        (_graph(_PLAIN, opset=25), "opset 25"),
        (
            _graph(helper.make_node("FusedConv", ["image"], ["scores"], domain="com.microsoft")),
            "com.microsoft.FusedConv",
        ),
        (_graph(helper.make_node("QuantizeLinear", ["image", "image"], ["scores"])), "quantised already"),
        (_graph(helper.make_node("QLinearConv", ["image"] * 8, ["scores"])), "quantised already"),
        (_graph(helper.make_node("RandomNormalLike", ["image"], ["scores"])), "answers at random"),
        (
            _graph(
                _PLAIN, inputs={"image": (TensorProto.FLOAT, (1, 3, 8, 8)), "mask": (TensorProto.FLOAT, (1, 3, 8, 8))}
            ),
            "takes several inputs",
        ),
        (_graph(_PLAIN, inputs={"image": (TensorProto.FLOAT, (1, 4, 8, 8))}), "1x4x8x8"),
        (_graph(_PLAIN, inputs={"image": (TensorProto.FLOAT, (1, 64))}), "1x64"),
        (_graph(_PLAIN, inputs={"image": (TensorProto.FLOAT, ())}), "a single number"),
        (_graph(_PLAIN, inputs={"image": (TensorProto.STRING, (1, 3, 8, 8))}), "string"),
        (_graph(_PLAIN, inputs={"image": (TensorProto.INT64, (1, 3, 8, 8))}), "int64"),
    ],
)
def test_what_cannot_be_handled_is_told_in_one_sentence(tmp_path: Path, model: Any, words: str) -> None:  # noqa: ANN401
    with pytest.raises(UsageError, match=words) as told:
        read_onnx_file(_saved(model, tmp_path))

    assert "model.onnx" in str(told.value)


@pytest.mark.parametrize(("shape", "layout"), [((1, 1, 8, 9), "NCHW"), ((None, 8, 9, 1), "NHWC")])
def test_an_image_of_one_channel(tmp_path: Path, shape: tuple[Any, ...], layout: str) -> None:
    image = read_onnx_file(_saved(_graph(_PLAIN, inputs={"image": (TensorProto.FLOAT, shape)}), tmp_path)).image

    assert (image.layout, image.channels, image.size) == (layout, 1, (8, 9))


def test_a_network_inside_a_branch(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.ones((2, 3, 1, 1), np.float32), "w")
    branch = helper.make_graph(
        [helper.make_node("Conv", ["image", "w"], ["made"])],
        "branch",
        [],
        [helper.make_tensor_value_info("made", TensorProto.FLOAT, None)],
    )
    model = _graph(
        helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True), "yes")),
        helper.make_node("If", ["yes"], ["scores"], then_branch=branch, else_branch=branch),
    )
    model.graph.initializer.append(weight)

    with pytest.raises(UsageError, match="inside a branch or a loop"):
        read_onnx_file(_saved(model, tmp_path))


@pytest.mark.parametrize("content", [b"", b"no graph at all", b"\x08\x0a\x12"])
def test_what_is_no_onnx_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)

    with pytest.raises(UsageError, match="ONNX file"):
        read_onnx_file(tmp_path / "model.onnx")


def test_a_name_that_is_no_text(onnx_network: OnnxNetwork, tmp_path: Path) -> None:
    content = onnx_network().SerializeToString()
    (tmp_path / "model.onnx").write_bytes(content.replace(b"pooled", b"\xff\xfe\xffled"))

    with pytest.raises(UsageError, match="a name that is no text"):
        read_onnx_file(tmp_path / "model.onnx")


def test_a_file_that_is_not_there_names_the_nearest(onnx_network: OnnxNetwork, tmp_path: Path) -> None:
    _saved(onnx_network(), tmp_path, "classifier.onnx")

    with pytest.raises(UsageError, match=r"classifier\.onnx\?"):
        read_onnx_file(tmp_path / "clasifier.onnx")


def test_weights_beside_the_file_are_read_and_part_of_what_it_is(onnx_network: OnnxNetwork, tmp_path: Path) -> None:
    apart = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    inside = _saved(onnx_network(), tmp_path, "inside.onnx")
    outside = _saved(onnx_network(), tmp_path, "outside.onnx", **apart)
    first = read_onnx_file(outside).sha256

    assert read_onnx_file(outside).image == read_onnx_file(inside).image
    kernels = [numpy_helper.to_array(load_onnx(path).graph.initializer[0]) for path in (inside, outside)]
    assert np.array_equal(*kernels)

    weights = tmp_path / "weights.bin"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert read_onnx_file(outside).sha256 != first

    weights.unlink()
    with pytest.raises(UsageError, match=r"no file weights\.bin beside it"):
        read_onnx_file(outside)


def test_weights_outside_its_folder_are_not_followed(onnx_network: OnnxNetwork, tmp_path: Path) -> None:
    model = onnx_network()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret.bin")

    with pytest.raises(UsageError, match="outside its own folder"):
        read_onnx_file(_saved(model, tmp_path))


@pytest.mark.parametrize("location", ["a\0b.bin", "a\0b/weights.bin", "w" * 256, "w" * 256 + "/weights.bin"])
def test_weights_at_what_is_no_path_are_told(onnx_network: OnnxNetwork, tmp_path: Path, location: str) -> None:
    model = onnx_network()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)

    with pytest.raises(UsageError, match="this ONNX file cannot be read"):
        read_onnx_file(_saved(model, tmp_path))


def test_weights_of_its_own_functions_are_not_followed_outside_either(
    onnx_network: OnnxNetwork, tmp_path: Path
) -> None:
    model = onnx_network()
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../secret.bin")
    constant = helper.make_node("Constant", [], ["y"], value=tensor)
    own = helper.make_opsetid("", 18)
    model.functions.append(helper.make_function("mine", "constant", [], ["y"], [constant], [own]))

    with pytest.raises(UsageError, match="outside its own folder"):
        read_onnx_file(_saved(model, tmp_path))


@pytest.mark.parametrize("kind", ["a link", "a hard link", "a linked folder"])
def test_weights_behind_links_are_not_read(onnx_network: OnnxNetwork, tmp_path: Path, kind: str) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "secret.bin").write_bytes(b"not yours")
    location = {"a linked folder": "folder/secret.bin"}.get(kind, "weights.bin")
    if kind == "a link":
        (tmp_path / "own" / "weights.bin").symlink_to(tmp_path / "secret.bin")
    elif kind == "a hard link":
        (tmp_path / "own" / "weights.bin").hardlink_to(tmp_path / "secret.bin")
    else:
        (tmp_path / "own" / "folder").symlink_to(tmp_path)
    model = onnx_network()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    with pytest.raises(UsageError, match="link") as raised:
        read_onnx_file(_saved(model, tmp_path / "own"))
    assert raised.value.got == location


def test_weights_that_are_exchanged_while_they_are_read_never_come_from_outside(
    onnx_network: OnnxNetwork, tmp_path: Path
) -> None:
    """Another process puts a link, a hard link and the file itself in turn where the file was looked at before."""
    own = tmp_path / "own"
    own.mkdir()
    apart = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    file = _saved(onnx_network(), own, **apart)
    weights = (own / "weights.bin").read_bytes()
    (tmp_path / "kept").write_bytes(weights)
    (tmp_path / "secret").write_bytes(b"\x2a" * len(weights))
    read = refused = 0
    with subprocess.Popen([sys.executable, "-c", _EXCHANGES, str(tmp_path)], stdout=subprocess.PIPE) as exchanges:
        assert exchanges.stdout is not None
        assert exchanges.stdout.readline() == b"begun\n"
        try:
            while min(read, refused) < 10 or read + refused < 200:
                try:
                    read_onnx_file(file)
                    found = load_onnx(file).graph.initializer
                except (UsageError, OSError):  # the file changed its kind between two looks at it
                    refused += 1
                else:
                    read += 1
                    assert not any(b"\x2a" * 4 in tensor.raw_data for tensor in found)
        finally:
            exchanges.kill()


_EXCHANGES = """
import os, shutil, sys

root = sys.argv[1]
at = root + "/own/weights.bin"
print("begun", flush=True)
while True:
    for way in ("link", "hard link", "file"):
        new = at + ".new"
        if way == "link":
            os.symlink(root + "/secret", new)
        elif way == "hard link":
            os.link(root + "/secret", new)
        else:
            shutil.copyfile(root + "/kept", new)
        os.replace(new, at)
"""
