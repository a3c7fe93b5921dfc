"""Graphs to quantise: the tiny network's, and any that a test wires up itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from pipeline.data.open import open_dataset
from pipeline.lowering.export import OnnxFromTorch
from pipeline.models.build import build_network
from pipeline.models.resolve import resolve_model
from pipeline.preprocess import PreprocessSpec
from pipeline.progress import SilentProgress
from pipeline.quantization.graph import Graph
from pipeline.quantization.observe import Observation, observe
from pipeline.quantization.plan import tensors_to_observe
from pipeline.quantization.ranges import METHODS, Range

if TYPE_CHECKING:
    from pathlib import Path

Wire = Callable[..., Any]


def _wire(
    nodes: list[Any],
    constants: Mapping[str, np.ndarray] | None = None,
    *,
    shape: tuple[int, ...] = (1, 3, 8, 8),
    outputs: tuple[str, ...] = ("output",),
) -> Any:  # noqa: ANN401 - ModelProto
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return onnx.shape_inference.infer_shapes(model)


@pytest.fixture(scope="session")
def wire() -> Wire:
    """Makes a model of nodes and constants; its input is ``input``."""
    return _wire


@dataclass(frozen=True)
class Calibrated:
    """A float model, images it is used on, what was seen of its tensors, and a range for each."""

    model: Any
    images: list[np.ndarray]
    seen: dict[str, Observation]
    ranges: dict[str, Range]


def _calibrated(model: Any, images: list[np.ndarray]) -> Calibrated:  # noqa: ANN401 - ModelProto
    with SilentProgress().track("", 0) as ticker:
        seen = observe(model, tensors_to_observe(Graph(model)), lambda: images, ticker)
    return Calibrated(model, images, seen, {name: METHODS["minmax"](of.histogram) for name, of in seen.items()})


@pytest.fixture(scope="session")
def calibrate() -> Callable[[Any, list[np.ndarray]], Calibrated]:
    """Calibrates a model on images."""
    return _calibrated


@pytest.fixture(scope="session")
def tiny(tiny_file: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Calibrated:
    """The tiny network with random weights, on the calibration images of its three colours."""
    dataset = open_dataset(str(tiny_data), cache=tmp_path_factory.mktemp("data-cache"))
    preprocess = PreprocessSpec(size=(16, 16), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network(resolve_model(f"{tiny_file}:tiny"), classes=3).eval()
    example = torch.zeros(1, 3, 16, 16)
    model = OnnxFromTorch(network, example, exporter="torchscript", opset=18, outputs=["output"])
    return _calibrated(model, [preprocess.load(str(sample.path))[None] for sample in dataset.calibration])


@pytest.fixture(scope="session")
def rich(wire: Wire) -> Calibrated:
    """Every operator that any dialect treats specially, in one graph that ends in a matrix product."""
    generator = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return (generator.standard_normal(shape) / np.sqrt(np.prod(shape[1:]) or 1)).astype(np.float32)

    nodes = [
        helper.make_node("Conv", ["input", "w0", "b0"], ["a"], name="stem", pads=[1, 1, 1, 1]),
        helper.make_node("Clip", ["a", "zero", "six"], ["a6"], name="relu6"),
        helper.make_node("MaxPool", ["a6"], ["p"], name="max", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["p", "w1"], ["c"], name="side", pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["c"], ["s"], name="gate"),
        helper.make_node("Mul", ["c", "s"], ["silu"], name="silu"),
        helper.make_node("Add", ["silu", "p"], ["sum"], name="residual"),
        helper.make_node("Relu", ["sum"], ["rectified"], name="relu"),
        helper.make_node("Conv", ["rectified", "w2", "b2"], ["d"], name="depthwise", group=8, pads=[1, 1, 1, 1]),
        helper.make_node("Concat", ["d", "rectified"], ["both"], name="concat", axis=1),
        helper.make_node("AveragePool", ["both"], ["small"], name="average", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["small"], ["pooled"], name="global"),
        helper.make_node("Flatten", ["pooled"], ["flat"], name="flatten"),
        helper.make_node("MatMul", ["flat", "w3"], ["hidden"], name="matmul"),
        helper.make_node("Relu", ["hidden"], ["hidden_relu"], name="relu2"),
        helper.make_node("Gemm", ["hidden_relu", "w4", "b4"], ["output"], name="head", transB=1),
    ]
    constants = {
        "w0": normal(8, 3, 3, 3),
        "b0": normal(8),
        "w1": normal(8, 8, 3, 3),
        "w2": normal(8, 1, 3, 3),
        "b2": normal(8),
        "w3": normal(16, 12),
        "w4": normal(5, 12),
        "b4": normal(5),
        "zero": np.array(0, np.float32),
        "six": np.array(6, np.float32),
    }
    images = [generator.standard_normal((1, 3, 8, 8)).astype(np.float32) for _ in range(16)]
    return _calibrated(wire(nodes, constants), images)
