"""Watching the activations over the calibration images, with memory that does not grow with their number."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import DataError
from pipeline.lowering.cpu import cpu_session
from pipeline.quantization.ranges import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from pipeline.progress import Ticker
    from pipeline.session import Array

__all__ = ["Observation", "observe"]

_BINS = 2048
_STATE = "observed"
"""SHA-256 in hex, and the content it is of, an ``.npz`` file."""
_SEAL_BYTES = 64
_SAVED_EVERY = 64
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
    *,
    kept: Path | None = None,
    note: Callable[[str], None] | None = None,
) -> dict[str, Observation]:
    """Run the calibration images twice: for the extremes first, for histograms between them second.

    Args:
        model: The float graph.
        tensors: Names of the tensors to watch; the graph's input may be one.
        images: Gives the images anew at every call, each float32 (1, 3, height, width).
        ticker: Told of every image, twice.
        kept: A folder in which what was seen so far is left now and then; a later call goes on from there.
        note: Told when what was left there is damaged, so that all is watched anew.

    Raises:
        DataError: when there are no images, or one makes the network give a value that is not finite.
    """
    watcher = _Watcher(model, tensors)
    try:
        seen = _Seen.resumed(kept, tensors)
    except (OSError, ValueError) as error:
        seen = _Seen(kept, tensors)
        if note is not None:
            note(f"what was seen of the activations cannot be read, so that they are watched anew: {error}")
    for number, image in _after(images(), seen.first_pass, ticker):
        seen.extremes(watcher.run(image), number)
        seen.save_now_and_then(seen.first_pass)
        ticker.advance()
    if seen.first_pass == 0:
        raise DataError("there are no calibration images", fix="add images, or lower data.calibration_images")
    for _, image in _after(images(), seen.second_pass, ticker):
        seen.count(watcher.run(image))
        seen.save_now_and_then(seen.second_pass)
        ticker.advance()
    return seen.observations()


def _after(images: Iterable[Array], done: int, ticker: Ticker) -> Iterator[tuple[int, Array]]:
    """The images with their numbers, without those that are done."""
    for number, image in enumerate(images):
        if number < done:
            ticker.advance()
        else:
            yield number, image


class _Seen:
    """What was seen so far of every tensor; as large after many images as after one."""

    def __init__(self, kept: Path | None, tensors: Sequence[str]) -> None:
        self._kept, self._tensors = kept, list(tensors)
        self._place = {name: number for number, name in enumerate(self._tensors)}
        self._low = np.full(len(tensors), np.inf)
        self._high = np.full(len(tensors), -np.inf)
        self._counts = np.zeros((len(tensors), _BINS), np.int64)
        self._sums: dict[str, Array] = {}
        self.first_pass = self.second_pass = 0

    @classmethod
    def resumed(cls, kept: Path | None, tensors: Sequence[str]) -> _Seen:
        """As an earlier call left it; empty when it left nothing.

        Raises:
            ValueError: when the content is not what was written.
            OSError: when it cannot be read.
        """
        seen = cls(kept, tensors)
        if kept is None or not (kept / _STATE).is_file():
            return seen
        content = (kept / _STATE).read_bytes()
        seal, written = content[:_SEAL_BYTES], content[_SEAL_BYTES:]
        if seal != hashlib.sha256(written).hexdigest().encode():
            message = f"the bytes of {kept / _STATE} are not those that were written"
            raise ValueError(message)
        with np.load(io.BytesIO(written), allow_pickle=False) as state:
            if list(state["tensors"]) != seen._tensors:
                return seen
            seen._low, seen._high, seen._counts = state["low"], state["high"], state["counts"]
            seen._sums = {name: state[f"sum {at}"] for name, at in seen._place.items() if f"sum {at}" in state}
            seen.first_pass, seen.second_pass = (int(number) for number in state["passes"])
        return seen

    def extremes(self, values: Iterable[tuple[str, Array]], number: int) -> None:
        """Take in the smallest, the largest and the means of one image's tensors."""
        for name, value in values:
            smallest, largest, at = float(value.min()), float(value.max()), self._place[name]
            if not np.isfinite(smallest + largest):
                raise DataError(
                    "a calibration image makes the network give values that are not finite",
                    where=f"tensor {name!r}, calibration image {number}",
                    fix="look at the image and at the preprocessing (input.mean, input.std)",
                )
            self._low[at], self._high[at] = min(self._low[at], smallest), max(self._high[at], largest)
            if value.ndim in {2, 4}:
                mean = value.mean(axis=(0, 2, 3)[: value.ndim - 1], dtype=np.float64)
                self._sums[name] = self._sums[name] + mean if name in self._sums else mean
        self.first_pass += 1

    def count(self, values: Iterable[tuple[str, Array]]) -> None:
        """Take in the histograms of one image's tensors."""
        for name, value in values:
            at = self._place[name]
            self._counts[at] += _histogram(value, self._low[at], self._high[at])
        self.second_pass += 1

    def save_now_and_then(self, done: int) -> None:
        """Leave the state behind after every so many images."""
        if self._kept is None or done % _SAVED_EVERY:
            return
        arrays: dict[str, Any] = {f"sum {self._place[name]}": value for name, value in self._sums.items()}
        written = io.BytesIO()
        np.savez(
            written,
            tensors=np.array(self._tensors),
            low=self._low,
            high=self._high,
            counts=self._counts,
            passes=np.array([self.first_pass, self.second_pass]),
            **arrays,
        )
        temporary = self._kept / f"{_STATE}.tmp"
        temporary.write_bytes(hashlib.sha256(written.getbuffer()).hexdigest().encode() + written.getbuffer())
        temporary.replace(self._kept / _STATE)

    def observations(self) -> dict[str, Observation]:
        """The result."""
        return {
            name: Observation(
                histogram=Histogram(self._counts[at], float(self._low[at]), float(self._high[at])),
                channel_mean=self._sums[name] / self.first_pass if name in self._sums else None,
            )
            for name, at in self._place.items()
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

        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        self._input = copy.graph.input[0].name
        present = {output.name for output in copy.graph.output}
        self._names = [name for name in tensors if name != self._input]
        self._watches_input = self._input in tensors
        copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self._names if name not in present)
        self._session = cpu_session(copy)

    def run(self, image: Array) -> list[tuple[str, Array]]:
        """Name and value of every watched tensor for one image."""
        values = self._session.run(self._names, {self._input: image}) if self._names else []
        found = list(zip(self._names, values, strict=True))
        return [(self._input, image), *found] if self._watches_input else found
