"""Comparing two forms of a network: nothing that differs is overlooked, and the first culprit is named."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from pipeline.lowering.cpu import run_onnx
from pipeline.lowering.export import OnnxFromTorch
from pipeline.lowering.parity import TorchReference, compare, first_difference, probe_inputs

_SHAPE = (1, 3, 4, 4)


def _graph(nodes: list[Any], outputs: tuple[str, ...] = ("output",), **constants: float) -> Any:  # noqa: ANN401
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, _SHAPE)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _times(factor: float) -> Any:  # noqa: ANN401 - ModelProto
    return _graph([helper.make_node("Mul", ["input", "factor"], ["output"])], factor=factor)


def _filled(*values: float) -> list[tuple[str, np.ndarray]]:
    return [(f"input {number}", np.full(_SHAPE, value, np.float32)) for number, value in enumerate(values)]


def test_real_images_are_compared_with_and_then_zeros_ones_and_noise() -> None:
    images = [np.full(_SHAPE, 0.25, np.float64), np.full(_SHAPE, -3.0, np.float32)]
    inputs = probe_inputs(images, _SHAPE)
    assert [name for name, _ in inputs] == ["image 0", "image 1", "zeros", "ones", "noise"]
    assert {(batch.shape, batch.dtype.name) for _, batch in inputs} == {(_SHAPE, "float32")}
    assert [float(batch.mean()) for _, batch in inputs[:4]] == [0.25, -3.0, 0.0, 1.0]
    assert inputs[4][1].std() == pytest.approx(1, abs=0.3)


def test_the_noise_is_the_same_every_time() -> None:
    first, second = (probe_inputs([], _SHAPE)[-1][1] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_model_that_computes_the_same_has_no_error() -> None:
    found = compare(_times(2.0), TorchReference(nn.Identity().eval()), _filled(0.0), limit=1e-4)
    assert (found.relative_error, found.inputs) == (0.0, 1)


@settings(deadline=None)
@given(factor=st.floats(-4, 4, width=32), value=st.floats(0.125, 8, width=32))
def test_the_error_is_the_largest_difference_as_a_fraction_of_the_largest_output(factor: float, value: float) -> None:
    # The network gives its input back, the model the input times the factor.
    found = compare(_times(factor), TorchReference(nn.Identity()), _filled(value), limit=1e-4)
    assert found.relative_error == pytest.approx(abs(factor - 1), rel=1e-5, abs=1e-6)


def test_where_all_outputs_are_zero_the_error_is_absolute() -> None:
    model = _graph([helper.make_node("Add", ["input", "offset"], ["output"])], offset=0.5)
    assert compare(model, TorchReference(nn.Identity()), _filled(0.0), limit=1e-4).relative_error == pytest.approx(0.5)


def test_the_input_with_the_largest_error_is_named() -> None:
    model = _graph([helper.make_node("Clip", ["input", "", "top"], ["output"])], top=2.0)
    found = compare(model, TorchReference(nn.Identity()), _filled(1.0, 8.0, 4.0), limit=1e-4)
    assert (found.input_name, found.inputs) == ("input 1", 3)
    assert found.relative_error == pytest.approx(6 / 8)


def test_an_output_of_another_shape_is_infinitely_wrong() -> None:
    model = _graph([helper.make_node("Flatten", ["input"], ["output"])])
    assert compare(model, TorchReference(nn.Identity()), _filled(1.0), limit=1e-4).relative_error == float("inf")


_ROOT = [helper.make_node("Sqrt", ["input"], ["output"])]


@pytest.mark.parametrize("values", [(4.0, -4.0), (-4.0, 4.0), (-4.0, 4.0, 4.0)])
def test_nan_on_a_single_input_is_never_taken_for_agreement(values: tuple[float, ...]) -> None:
    class Root(nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return batch.abs().sqrt()

    found = compare(_graph(_ROOT), TorchReference(Root()), _filled(*values), limit=1e-4)
    assert not found.relative_error <= 1e9
    assert found.input_name == f"input {values.index(-4.0)}"


def test_nan_in_a_later_output_is_never_taken_for_agreement() -> None:
    class Two(nn.Module):
        def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return batch, batch.abs().sqrt()

    nodes = [helper.make_node("Identity", ["input"], ["first"]), *_ROOT]
    found = compare(_graph(nodes, outputs=("first", "output")), TorchReference(Two()), _filled(-4.0), limit=1e-4)
    assert not found.relative_error <= 1e9


def test_nan_that_only_the_network_gives_is_an_error_too() -> None:
    class Root(nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return batch.sqrt()

    model = _graph([helper.make_node("Abs", ["input"], ["a"]), helper.make_node("Sqrt", ["a"], ["output"])])
    assert not compare(model, TorchReference(Root()), _filled(-4.0), limit=1e-4).relative_error <= 1e9


def test_all_outputs_of_all_batches_come_back() -> None:
    nodes = [helper.make_node("Neg", ["input"], ["first"]), helper.make_node("Relu", ["input"], ["output"])]
    model = _graph(nodes, outputs=("first", "output"))
    batches = [batch for _, batch in _filled(-1.0, 2.0)]
    for batch, found in zip(batches, run_onnx(model, batches), strict=True):
        np.testing.assert_array_equal(found, [-batch, np.maximum(batch, 0)])


def _layers() -> nn.Sequential:
    """Convolutions with activations that overwrite what they get."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(4, 4, 1),
            nn.ReLU(inplace=True),
            nn.Flatten(),
        ).eval()


def _export(taps: nn.Module, names: list[str]) -> Any:  # noqa: ANN401 - ModelProto
    return OnnxFromTorch(taps, torch.zeros(_SHAPE), exporter="torchscript", opset=18, outputs=names)


def _exporter_that_spoils(*layers: str) -> Any:  # noqa: ANN401 - a function
    """An exporter that gets the bias of some layers wrong."""

    def export(taps: nn.Module, names: list[str]) -> Any:  # noqa: ANN401 - ModelProto
        spoilt = copy.deepcopy(taps)
        with torch.no_grad():
            for name in layers:
                spoilt.get_submodule(f"network.{name}").bias += 1.0
        return _export(spoilt, names)

    return export


@pytest.mark.parametrize(("spoilt", "named"), [(("0",), "0"), (("2",), "2"), (("2", "0"), "0")])
def test_the_first_layer_that_differs_in_the_order_of_execution_is_named(spoilt: tuple[str, ...], named: str) -> None:
    inputs = probe_inputs([], _SHAPE)
    assert first_difference(_layers(), _exporter_that_spoils(*spoilt), inputs, limit=1e-4) == named


def test_layers_that_agree_are_no_culprits() -> None:
    assert first_difference(_layers(), _export, probe_inputs([], _SHAPE), limit=1e-4) is None


def test_a_layer_that_runs_twice_can_be_the_culprit() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 3, 1)

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return self.layer(torch.relu(self.layer(batch)))

    inputs = probe_inputs([], _SHAPE)
    assert first_difference(Twice().eval(), _export, inputs, limit=1e-4) is None
    assert first_difference(Twice().eval(), _exporter_that_spoils("layer"), inputs, limit=1e-4) == "layer"


def test_looking_for_the_culprit_leaves_no_hooks_on_the_network() -> None:
    network = _layers()
    first_difference(network, _export, probe_inputs([], _SHAPE), limit=1e-4)
    assert not any(module._forward_hooks for module in network.modules())


def test_the_model_is_not_changed_by_running_it() -> None:
    model = _times(2.0)
    before = model.SerializeToString()
    run_onnx(model, [np.zeros(_SHAPE, np.float32)])
    assert model.SerializeToString() == before


class _Amplified(nn.Module):
    """Adds a number so large that float32 has few digits left for the input, then takes it away again."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return (batch * 1.1 + 3e4) - 3e4


def test_a_difference_no_larger_than_the_networks_own_rounding_is_told_apart() -> None:
    # The graph leaves out what cancels: exact where PyTorch's float32 is a thousandth off.
    found = compare(_times(1.1), TorchReference(_Amplified().eval()), _filled(1.0), limit=1e-4)

    assert found.relative_error == 0.0
    ((name, error, own),) = found.rounding
    assert name == "input 0"
    assert error > 1e-4
    assert error == pytest.approx(own, rel=0.1)


@pytest.mark.parametrize(("name", "excused"), [("ones", True), ("image 0", False)])
def test_a_network_that_amplifies_rounding_may_differ_more_on_what_is_no_image(name: str, *, excused: bool) -> None:
    """A runtime adds in another order, which moves it further than PyTorch's own rounding."""

    class Less(nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return (batch * 1.1 + 1e3) - 1e3

    inputs = [(name, np.full(_SHAPE, 1.0, np.float32))]
    found = compare(_times(1.1 * 1.004), TorchReference(Less().eval()), inputs, limit=1e-4)
    assert (found.relative_error == 0.0) is excused
    assert bool(found.rounding) is excused


def test_a_wrong_graph_is_not_excused_by_rounding() -> None:
    assert compare(_times(1.3), TorchReference(_Amplified().eval()), _filled(1.0), limit=1e-4).relative_error > 0.1
