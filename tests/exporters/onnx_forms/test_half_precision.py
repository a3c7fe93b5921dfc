"""Float graphs in float16: converted, compared, and refused where they no longer compute the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from exporters.onnx_forms.half_precision import HalfFromFloat, check_half
from pipeline.errors import ParityError

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.artifact import Artifact


@pytest.fixture
def half(exported: Artifact, tmp_path: Path) -> Path:
    path = tmp_path / "half.onnx"
    HalfFromFloat(exported.path("float.onnx"), path)
    return path


def test_the_inputs_and_outputs_stay_float(half: Path) -> None:
    graph = onnx.load(half).graph
    assert {port.type.tensor_type.elem_type for port in (*graph.input, *graph.output)} == {TensorProto.FLOAT}


def test_the_weights_are_half_and_take_half_the_room(half: Path, exported: Artifact) -> None:
    types = {tensor.data_type for tensor in onnx.load(half).graph.initializer if tensor.data_type != TensorProto.INT64}
    assert types == {TensorProto.FLOAT16}
    assert half.stat().st_size < 0.7 * exported.path("float.onnx").stat().st_size


def test_the_difference_is_what_ten_bits_explain(half: Path, exported: Artifact) -> None:
    difference = check_half(exported.path("float.onnx"), half)
    assert 0 < difference < 0.02


def test_a_converter_that_changed_a_weight_does_not_pass(half: Path, exported: Artifact) -> None:
    model = onnx.load(half)
    tensor = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    values = numpy_helper.to_array(tensor).copy()
    values[0] = -values[0]
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, half)
    with pytest.raises(ParityError) as raised:
        check_half(exported.path("float.onnx"), half)
    assert raised.value.exit_code == 8
    assert "of how far its outputs move, on 4 random inputs" in str(raised.value.got)
    assert raised.value.expected == "at most 0.1"


def test_a_result_that_is_no_number_does_not_pass(half: Path, exported: Artifact) -> None:
    model = onnx.load(half)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name.startswith("head"))
    tensor.CopyFrom(numpy_helper.from_array(np.full(tensor.dims, np.nan, np.float16), tensor.name))
    onnx.save(model, half)
    with pytest.raises(ParityError, match="float16 graph does not compute"):
        check_half(exported.path("float.onnx"), half)


def test_a_file_is_not_compared_with_itself(half: Path) -> None:
    with pytest.raises(ValueError, match="not compared with itself"):
        HalfFromFloat(half, half)


def test_the_same_graph_gives_the_same_bytes(half: Path, exported: Artifact, tmp_path: Path) -> None:
    HalfFromFloat(exported.path("float.onnx"), tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == half.read_bytes()
