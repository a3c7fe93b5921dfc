"""Coverage: counted in the kernels that ONNX Runtime really chose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import helper

from pipeline.artifact import canonical_json
from pipeline.quantization.coverage import Coverage, int8_coverage
from pipeline.quantization.dialects import dialect_named
from pipeline.quantization.write import QdqFromFloat

if TYPE_CHECKING:
    from pathlib import Path


def _covered(model: Any, folder: Path) -> Coverage:  # noqa: ANN401 - ModelProto
    onnx.save(model, folder / "model.onnx")
    return int8_coverage(folder / "model.onnx")


@pytest.mark.parametrize("name", ["tiny", "rich"])
def test_of_a_float_graph_nothing_runs_in_int8_and_every_node_is_named(
    request: pytest.FixtureRequest, name: str, tmp_path: Path
) -> None:
    model = request.getfixturevalue(name).model
    found = _covered(model, tmp_path)
    weighted = [node.name for node in model.graph.node if node.op_type in {"Conv", "Gemm", "MatMul"}]
    assert (found.int8, found.total) == (0, 5)
    assert sorted(found.floats) == sorted(weighted)


@pytest.mark.parametrize("name", ["tiny", "rich"])
def test_of_a_quantised_graph_every_convolution_and_product_runs_in_int8(
    request: pytest.FixtureRequest, name: str, tmp_path: Path
) -> None:
    network = request.getfixturevalue(name)
    found = _covered(QdqFromFloat(network.model, network.ranges, dialect_named("ort-x86")), tmp_path)
    assert found == Coverage(int8=5, total=5, floats=())


def test_operators_other_than_convolutions_and_products_do_not_count(wire: Any, tmp_path: Path) -> None:  # noqa: ANN401
    model = wire([helper.make_node("Relu", ["input"], ["a"]), helper.make_node("Sigmoid", ["a"], ["output"])])
    assert _covered(model, tmp_path) == Coverage(int8=0, total=0, floats=())


def test_products_quantised_while_they_run_count_too(wire: Any, tmp_path: Path) -> None:  # noqa: ANN401
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["input"], ["q", "scale", "zero"]),
        helper.make_node("MatMulInteger", ["q", "w", "zero"], ["whole"], name="product"),
        helper.make_node("Cast", ["whole"], ["output"], to=onnx.TensorProto.FLOAT),
    ]
    model = wire(nodes, {"w": np.ones((8, 4), np.uint8)})
    assert _covered(model, tmp_path) == Coverage(int8=1, total=1, floats=())


def test_it_is_json() -> None:
    found = Coverage(int8=1, total=2, floats=("head",))
    assert canonical_json(found.to_json()) == '{"floats":["head"],"int8":1,"total":2}'


def test_counting_leaves_nothing_beside_the_file(rich: Any, tmp_path: Path) -> None:  # noqa: ANN401
    _covered(rich.model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
