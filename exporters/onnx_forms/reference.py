"""What an ONNX graph computes when nothing rewrites it: the reference that converted graphs are held against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import ParityError
from pipeline.onnx_runtime import onnx_runtime

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.session import Array

__all__ = ["largest_difference", "random_images", "reference_session", "require_parity"]


def reference_session(model: Path | bytes) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """A session of ONNX Runtime on the CPU that runs the nodes as they stand."""
    onnxruntime = onnx_runtime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised; the log would only repeat it
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def random_images(session: Any, count: int) -> Array:  # noqa: ANN401
    """Inputs of the session's shape and type, (count, ...): bytes, or standard normal float32; always the same."""
    (given,) = session.get_inputs()
    generator = np.random.default_rng(0)
    shape = (count, *given.shape[1:])
    if given.type == "tensor(uint8)":
        return generator.integers(0, 256, shape, dtype=np.uint8)
    return generator.standard_normal(shape).astype(np.float32)


def largest_difference(wanted: Array, found: Array) -> float:
    """As a fraction of the largest wanted value; infinite for another shape and for what is no number."""
    if wanted.shape != found.shape:
        return float("inf")
    difference = float(np.abs(wanted - found).max()) / (float(np.abs(wanted).max()) or 1.0)
    return difference if np.isfinite(difference) else float("inf")


def require_parity(difference: float, limit: float, *, what: str, where: str, of: str, fix: str) -> None:
    """Refuse a converted graph that is further from the one it was made from than its conversion explains.

    Args:
        difference: That was seen.
        limit: The largest one allowed.
        what: Says what does not hold.
        where: The graph it was made from.
        of: What the difference is a fraction of, and on which inputs.
        fix: What to do about it.

    Raises:
        ParityError: when the difference is beyond the limit.
    """
    if difference > limit:
        raise ParityError(
            what, where=where, got=f"a difference of {difference:.2g} of {of}", expected=f"at most {limit:g}", fix=fix
        )
