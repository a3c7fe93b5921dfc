"""TensorRT for RTX builds without a GPU: what can be seen of the adapter is seen on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporters.tensorrt.flavours import FLAVOURS

if TYPE_CHECKING:
    from pathlib import Path

import numpy as np


@pytest.fixture(scope="session")
def rtx() -> Any:  # noqa: ANN401 - bindings have no types
    """The bindings of TensorRT for RTX."""
    flavour = FLAVOURS["tensorrt-rtx"]
    if not flavour.installed():
        pytest.skip(f"{flavour.name} is not installed: {flavour.install}")
    return flavour.bindings()


def one_convolution(path: Path, shape: list[int | str]) -> Path:
    """An ONNX file of one convolution, 3 to 4 channels, for an input of that shape."""
    weight = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], name="only")],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@pytest.fixture
def open_batch(tmp_path: Path) -> Path:
    """A network whose batch is open."""
    return one_convolution(tmp_path / "open.onnx", ["batch", 3, 8, 8])


@pytest.fixture
def open_size(tmp_path: Path) -> Path:
    """A network whose height is open."""
    return one_convolution(tmp_path / "size.onnx", [1, 3, "height", 8])
