"""A float ONNX graph in float16, checked against the graph it was made from."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import ParityError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HalfFromFloat", "check_half"]

_LIMIT = 1e-2
"""Largest difference allowed, as a fraction of the largest output.

Float16 has ten bits of mantissa, a thousandth; a hundred layers of it add up to a few thousandths (0.0005 to 0.003 in
the networks of ``docs/targets.md``). A converter that lost a cast or a constant is off by more than a hundredth.
"""

_INPUTS = 3


def HalfFromFloat(model: Path, half: Path) -> float:  # noqa: N802 - conversions are named <Target>From<Source>
    """Write the graph in float16 with its inputs and outputs left float32.

    Returns:
        The largest difference seen, as a fraction of the largest output.

    Raises:
        ParityError: when the two graphs do not compute the same to what float16 can tell apart.
        UsageError: when the converter cannot convert it.
    """
    import onnx
    from onnxconverter_common import float16

    graph = onnx.load(model)
    with warnings.catch_warnings():
        # It warns of every constant that float16 cannot hold; whether that matters is measured below.
        warnings.filterwarnings("ignore", message=r"the float32 number .* will be truncated", category=UserWarning)
        try:
            converted = float16.convert_float_to_float16(graph, keep_io_types=True)
        except ValueError as error:
            raise UsageError("this graph cannot be converted to float16", where=model.name, got=str(error)) from error
    onnx.save(converted, half)
    return check_half(model, half)


def check_half(model: Path, half: Path) -> float:
    """Compare the two graphs on random inputs, in ONNX Runtime on the CPU.

    Returns:
        The largest difference, as a fraction of the largest output.

    Raises:
        ParityError: with the figures, when it is more than float16 explains.
    """
    sessions = [_session(path) for path in (model, half)]
    (given,) = sessions[0].get_inputs()
    generator = np.random.default_rng(0)
    shape = [side if isinstance(side, int) else 1 for side in given.shape]
    worst = 0.0
    for _ in range(_INPUTS):
        batch = generator.standard_normal(shape).astype(np.float32)
        wanted, found = (session.run(None, {given.name: batch}) for session in sessions)
        for one, other in zip(wanted, found, strict=True):
            largest = float(np.abs(one).max()) or 1.0
            difference = float(np.abs(one - other).max()) / largest
            worst = max(worst, difference) if np.isfinite(difference) else float("inf")
    if worst > _LIMIT:
        raise ParityError(
            "the float16 graph does not compute what the float graph computes",
            where=model.name,
            got=f"a difference of {worst:.2g} of the largest output, on {_INPUTS} random inputs",
            expected=f"at most {_LIMIT:g}",
            fix="build float or int8: some value of this network does not fit into float16",
        )
    return worst


def _session(path: Path) -> Any:  # noqa: ANN401 - onnxruntime has no types
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
