"""Watching the activations over the calibration images, with memory that does not grow with their number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import DataError
from pipeline.quantization.ranges import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pipeline.progress import Ticker
    from pipeline.session import Array

__all__ = ["Observation", "observe"]

_BINS = 2048
_SAMPLED = 1 << 16
"""Values of one tensor and one image that enter its histogram; smallest and largest are taken over all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """What was seen of one tensor.

    Attributes:
        histogram: Of its values.
        channel_mean: Mean over images and positions of each channel (axis 1), (channels,); None for tensors that are
            neither feature maps nor rows of features.
    """

    histogram: Histogram
    channel_mean: Array | None


def observe(
    model: Any,  # noqa: ANN401 - ModelProto
    tensors: Sequence[str],
    images: Callable[[], Iterable[Array]],
    ticker: Ticker,
) -> dict[str, Observation]:
    """Run the calibration images twice: for the extremes first, for histograms between them second.

    Args:
        model: The float graph.
        tensors: Names of the tensors to watch; the graph's input may be one.
        images: Gives the images anew at every call, each float32 (1, 3, height, width).
        ticker: Told of every image, twice.

    Raises:
        DataError: when there are no images, or one makes the network give a value that is not finite.
    """
    watcher = _Watcher(model, tensors)
    low = dict.fromkeys(tensors, np.inf)
    high = dict.fromkeys(tensors, -np.inf)
    sums: dict[str, Array] = {}
    seen = 0
    for number, image in enumerate(images()):
        for name, value in watcher.run(image):
            smallest, largest = float(value.min()), float(value.max())
            if not np.isfinite(smallest + largest):
                raise DataError(
                    "a calibration image makes the network give values that are not finite",
                    where=f"tensor {name!r}, calibration image {number}",
                    fix="look at the image and at the preprocessing (input.mean, input.std)",
                )
            low[name], high[name] = min(low[name], smallest), max(high[name], largest)
            if value.ndim in {2, 4}:
                mean = value.mean(axis=(0, 2, 3)[: value.ndim - 1], dtype=np.float64)
                sums[name] = sums[name] + mean if name in sums else mean
        seen += 1
        ticker.advance()
    if seen == 0:
        raise DataError("there are no calibration images", fix="add images, or lower data.calibration_images")
    counts = {name: np.zeros(_BINS, np.int64) for name in tensors}
    for image in images():
        for name, value in watcher.run(image):
            counts[name] += _histogram(value, low[name], high[name])
        ticker.advance()
    return {
        name: Observation(
            histogram=Histogram(counts[name], low[name], high[name]),
            channel_mean=sums[name] / seen if name in sums else None,
        )
        for name in tensors
    }


def _histogram(value: Array, low: float, high: float) -> Array:
    flat = value.reshape(-1)
    if flat.size > _SAMPLED:
        # An odd stride walks through all columns of the feature maps, whose sides are mostly even.
        flat = flat[:: flat.size // _SAMPLED | 1]
    scale = _BINS / max(high - low, 1e-12)
    bins = np.minimum(((flat - low) * scale).astype(np.int64), _BINS - 1)
    return np.bincount(np.maximum(bins, 0), minlength=_BINS)


class _Watcher:
    """A session of the model whose watched tensors are outputs."""

    def __init__(self, model: Any, tensors: Sequence[str]) -> None:  # noqa: ANN401 - ModelProto
        import onnx
        import onnxruntime

        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        self._input = copy.graph.input[0].name
        present = {output.name for output in copy.graph.output}
        self._names = [name for name in tensors if name != self._input]
        self._watches_input = self._input in tensors
        copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self._names if name not in present)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            copy.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def run(self, image: Array) -> list[tuple[str, Array]]:
        """Name and value of every watched tensor for one image."""
        values = self._session.run(self._names, {self._input: image}) if self._names else []
        found = list(zip(self._names, values, strict=True))
        return [(self._input, image), *found] if self._watches_input else found
