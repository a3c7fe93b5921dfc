"""What the bytes of an engine are: the reasons that docs/targets.md gives for large INT8 engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from exporters.tensorrt.engine import build_engine
from exporters.tensorrt.flavours import FLAVOURS
from exporters.tensorrt.options import TensorRtOptions
from exporters.tensorrt.parsing import parse
from exporters.tensorrt.sizes import composition

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.artifact import Artifact

_FEW, _MANY = 96, 960


def _depthwise(path: Path, channels: int) -> Path:
    """One 3x3 depthwise convolution in INT8, 14 pixels wide."""
    generator = np.random.default_rng(0)
    constants = {
        "scale": np.float32(0.1),
        "zero": np.int8(0),
        "weight": generator.integers(-127, 127, (channels, 1, 3, 3)).astype(np.int8),
        "scales": generator.uniform(0.01, 0.02, channels).astype(np.float32),
        "zeros": np.zeros(channels, np.int8),
    }
    shape = [1, channels, 14, 14]
    graph = helper.make_graph(
        [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
            helper.make_node("DequantizeLinear", ["weight", "scales", "zeros"], ["w"], axis=0),
            helper.make_node("Conv", ["d", "w"], ["y"], group=channels, pads=[1, 1, 1, 1]),
        ],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def _engine(bindings: Any, model: Path, *capabilities: str) -> bytes:  # noqa: ANN401
    options = TensorRtOptions(capabilities=capabilities)
    return build_engine(parse(bindings, model), FLAVOURS["tensorrt-rtx"], options)


def test_zeros_and_text_are_counted_in_long_runs_only() -> None:
    content = b"\x00" * 7 + b"\x01" + b"\x00" * 9 + b"\x01" + b"a" * 399 + b"\x01" + b"b" * 400
    found = composition(content)
    assert (found.total_bytes, found.zero_bytes, found.text_bytes) == (len(content), 9, 400)


def test_a_depthwise_int8_convolution_is_padded_to_hundreds_of_bytes_a_channel(rtx: Any, tmp_path: Path) -> None:  # noqa: ANN401
    few, many = (
        composition(_engine(rtx, _depthwise(tmp_path / f"{count}.onnx", count), "sm86")) for count in (_FEW, _MANY)
    )
    grown = (many.total_bytes - few.total_bytes) / (_MANY - _FEW)
    padding = (many.zero_bytes - few.zero_bytes) / (_MANY - _FEW)
    assert grown > 20 * 9  # nine weights a channel are nine bytes
    assert padding > 0.8 * grown


def test_another_capability_adds_no_second_copy_of_anything(rtx: Any, exported: Artifact) -> None:  # noqa: ANN401
    model = exported.path("qdq-tensorrt.onnx")
    one, two = (len(_engine(rtx, model, *names)) for names in (("sm86",), ("sm86", "sm89")))
    assert two < 1.05 * one


def test_an_int8_engine_holds_the_source_of_its_kernels(rtx: Any, exported: Artifact) -> None:  # noqa: ANN401
    engine = _engine(rtx, exported.path("qdq-tensorrt.onnx"), "sm86")
    assert b"__forceinline__ __device__" in engine
    assert composition(engine).text_bytes > 0.5 * len(engine)
