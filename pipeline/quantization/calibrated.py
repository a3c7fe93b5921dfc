"""What calibration found out about a network, read back to write Q/DQ from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.artifact import FLOAT_MODEL
from pipeline.quantization.ranges import Range
from pipeline.quantization.write import QdqFromFloat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.artifact import Artifact
    from pipeline.quantization.dialects import Dialect
    from pipeline.quantization.ranges import Method
    from pipeline.session import Array

__all__ = ["MEANS", "RANGES", "Calibrated", "read_calibration"]

RANGES = "ranges.json"
"""Tensor to method to [low, high]."""

MEANS = "means.safetensors"
"""Tensor to the mean of each of its channels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibrated:
    """A float graph with everything that INT8 needs.

    Attributes:
        model: The ModelProto.
        ranges: Tensor to method to range.
        means: Tensor to the mean of each channel, (channels,).
    """

    model: Any
    ranges: Mapping[str, Mapping[Method, Range]]
    means: Mapping[str, Array]

    def quantised(
        self,
        method: Method,
        dialect: Dialect,
        *,
        float_nodes: frozenset[str] = frozenset(),
        bias_correction: bool = True,
    ) -> Any:  # noqa: ANN401 - ModelProto
        """The graph with Q/DQ in a dialect, the ranges chosen by one method."""
        ranges = {tensor: methods[method] for tensor, methods in self.ranges.items()}
        means = self.means if bias_correction else {}
        return QdqFromFloat(self.model, ranges, dialect, float_nodes=float_nodes, means=means)


def read_calibration(artifact: Artifact) -> Calibrated:
    """What a calibration artifact holds."""
    import onnx
    from safetensors.numpy import load_file

    value = json.loads(artifact.path(RANGES).read_text(encoding="utf-8"))
    return Calibrated(
        model=onnx.load(artifact.path(FLOAT_MODEL)),
        ranges={
            tensor: {method: Range.of(*ends) for method, ends in methods.items()} for tensor, methods in value.items()
        },
        means=load_file(artifact.path(MEANS)),
    )
