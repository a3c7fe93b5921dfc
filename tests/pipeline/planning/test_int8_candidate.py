"""An INT8 form of one network as that of another that has lost fewer blocks."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from pipeline.planning.int8_candidate import Candidate
from pipeline.quantization.calibrated import Calibrated

_FORM = Candidate(method="mse", dialect="ort-x86", float_nodes=("conv_0", "conv_1", "relu_1"), kept="depthwise")


def _calibrated(*layers: str) -> Calibrated:
    """A chain of convolutions, each before a ReLU, named by their places as exporters do."""
    nodes, weights, before = [], [], "input"
    for number, layer in enumerate(layers):
        nodes.append(helper.make_node("Conv", [before, f"{layer}.weight"], [f"c{number}"], name=f"conv_{number}"))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"r{number}"], name=f"relu_{number}"))
        weights.append(numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), f"{layer}.weight"))
        before = f"r{number}"
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, 4, 4)) for name in ("input", before)]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
    return Calibrated(model=helper.make_model(graph), ranges={}, means={})


def test_a_graph_with_the_same_nodes_takes_the_form_as_it_is() -> None:
    assert _FORM.transferred(_calibrated("a", "c"), _calibrated("a", "c")) == _FORM


def test_where_blocks_went_the_same_layers_stay_float_under_whatever_name() -> None:
    found = _FORM.transferred(_calibrated("a", "c"), _calibrated("a", "b", "c"))
    assert found.float_nodes == ("conv_0", "conv_2")
