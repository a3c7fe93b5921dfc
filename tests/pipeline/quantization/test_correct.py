"""Bias correction: after it a layer's mean output is that of the float layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

from pipeline.progress import SilentProgress
from pipeline.quantization.correct import bias_shift
from pipeline.quantization.dialects import dialect_named
from pipeline.quantization.graph import Graph
from pipeline.quantization.observe import observe
from pipeline.quantization.plan import tensors_to_observe
from pipeline.quantization.ranges import METHODS
from pipeline.quantization.sensitivity import outputs_of
from pipeline.quantization.write import QdqFromFloat


def _convolved(weight: np.ndarray, inputs: np.ndarray, groups: int) -> np.ndarray:
    """1x1 convolution of (positions, channels) inputs, by its definition."""
    out, per = weight.shape
    columns = [
        inputs[:, (number // (out // groups)) * per : (number // (out // groups) + 1) * per] @ weight[number]
        for number in range(out)
    ]
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_the_mean_output_of_every_channel_is_the_float_layers(groups: int) -> None:
    generator = np.random.default_rng(groups)
    weight = generator.standard_normal((12, 6 // groups))
    rounded = np.round(weight)
    inputs = generator.standard_normal((500, 6)) + 3
    shift = bias_shift(weight, rounded, inputs.mean(axis=0), groups=groups)
    before, after = _convolved(weight, inputs, groups), _convolved(rounded, inputs, groups) + shift
    np.testing.assert_allclose(after.mean(axis=0), before.mean(axis=0))


def test_all_positions_of_a_window_count() -> None:
    weight = np.full((1, 1, 3, 3), 0.25)
    assert bias_shift(weight, np.zeros_like(weight), np.array([2.0]), groups=1) == pytest.approx([4.5])


def test_what_is_represented_exactly_is_not_shifted() -> None:
    weight = np.ones((4, 2, 3, 3))
    assert not bias_shift(weight, weight, np.array([5.0, -7.0]), groups=1).any()


def test_a_corrected_networks_outputs_are_not_shifted(wire: Any) -> None:  # noqa: ANN401 - the conftest's function
    generator = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["input", "w0", "b0"], ["a"], name="first", group=8, pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["r"], name="relu"),
        helper.make_node("Conv", ["r", "w1", "b1"], ["c"], name="second"),
        helper.make_node("GlobalAveragePool", ["c"], ["output"], name="pool"),
    ]
    constants = {
        "w0": generator.standard_normal((8, 1, 3, 3)).astype(np.float32),
        "b0": np.zeros(8, np.float32),
        "w1": generator.standard_normal((16, 8, 1, 1)).astype(np.float32),
        "b1": np.zeros(16, np.float32),
    }
    model = wire(nodes, constants, shape=(1, 8, 12, 12))
    images = [generator.random((1, 8, 12, 12), np.float32) for _ in range(16)]
    with SilentProgress().track("", 0) as ticker:
        seen = observe(model, tensors_to_observe(Graph(model)), lambda: images, ticker)
    ranges = {tensor: METHODS["minmax"](of.histogram) for tensor, of in seen.items()}
    means = {tensor: of.channel_mean for tensor, of in seen.items() if of.channel_mean is not None}
    reference = np.stack([output for (output,) in outputs_of(model, images)])
    plain, corrected = (
        np.abs(
            np.stack([output for (output,) in outputs_of(written, images, exact=True)]).mean(axis=0)
            - reference.mean(axis=0)
        ).mean()
        for own in ({}, means)
        for written in [QdqFromFloat(model, ranges, dialect_named("ort-x86-7bit"), means=own)]
    )
    assert corrected < 0.5 * plain
