"""RoiAlign written with GridSample computes the same, and TensorRT for RTX builds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from exporters.onnx_forms.reference import reference_session
from exporters.tensorrt.engine import build_engine
from exporters.tensorrt.flavours import FLAVOURS
from exporters.tensorrt.options import TensorRtOptions
from exporters.tensorrt.parsing import parse
from exporters.tensorrt.sampled_roi_align import has_roi_align, sample_roi_align
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def _model(**attributes: Any) -> Any:  # noqa: ANN401 - ModelProto
    """RoiAlign on boxes all over an image of 100x80 pixels, of which the input is half as large."""
    generator = np.random.default_rng(0)
    ends = generator.uniform(0, 1, (40, 2, 2)) * (80, 100)
    boxes = np.concatenate([ends.min(axis=1), ends.max(axis=1)], axis=1).astype(np.float32)
    boxes[:3] = [[0, 0, 80, 100], [79, 99, 80, 100], [7, 7, 7, 7]]
    told = {"output_height": 7, "output_width": 5, "sampling_ratio": 2, "spatial_scale": 0.5, **attributes}
    node = helper.make_node("RoiAlign", ["input", "boxes", "images"], ["output"], name="pool", **told)
    graph = helper.make_graph(
        [node],
        "test",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, (1, 3, 50, 40))],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, (40, 3, 7, 5))],
        [numpy_helper.from_array(boxes, "boxes"), numpy_helper.from_array(np.zeros(40, np.int64), "images")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def _output(model: Any) -> np.ndarray:  # noqa: ANN401 - ModelProto
    image = np.random.default_rng(1).standard_normal((1, 3, 50, 40)).astype(np.float32)
    output: np.ndarray = reference_session(model.SerializeToString()).run(None, {"input": image})[0]
    return output


@pytest.mark.parametrize("mode", ["output_half_pixel", "half_pixel"])
@pytest.mark.parametrize("samples", [1, 2, 3])
def test_the_samples_are_those_of_roi_align(mode: str, samples: int) -> None:
    model = _model(coordinate_transformation_mode=mode, sampling_ratio=samples)
    wanted = _output(model)
    sample_roi_align(model)
    onnx.checker.check_model(model, full_check=True)
    assert not has_roi_align(model)
    np.testing.assert_allclose(_output(model), wanted, atol=1e-4)


@pytest.mark.parametrize("told", [{"sampling_ratio": 0}, {"mode": "max"}], ids=str)
def test_what_cannot_be_sampled_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as raised:
        sample_roi_align(_model(**told))
    assert raised.value.where == "pool"


def test_tensorrt_for_rtx_builds_it(rtx: Any, tmp_path: Path) -> None:  # noqa: ANN401 - bindings have no types
    model = _model()
    onnx.save(model, tmp_path / "with.onnx")
    with pytest.raises(UsageError, match="cannot read this graph"):
        parse(rtx, tmp_path / "with.onnx")
    sample_roi_align(model)
    onnx.save(model, tmp_path / "without.onnx")
    assert build_engine(parse(rtx, tmp_path / "without.onnx"), FLAVOURS["tensorrt-rtx"], TensorRtOptions())
