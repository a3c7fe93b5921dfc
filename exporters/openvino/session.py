"""A model loaded by OpenVINO on the CPU."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from pipeline.environment import usable_cores
from pipeline.session import EngineSpec, check_batch

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.artifact import Json
    from pipeline.session import Array

from exporters.openvino.runtime import runtime

__all__ = ["OpenVinoSession", "open_session"]

_PRODUCTS = frozenset({"Convolution", "Deconvolution", "FullyConnected", "MatMul"})


class OpenVinoSession:
    """A model in OpenVINO's CPU plugin, one request at a time, the lowest latency.

    Options of the spec: ``threads`` (None: all usable cores), ``inference_precision`` (of floats: ``f32``, ``bf16``).
    """

    def __init__(self, folder: Path, spec: EngineSpec) -> None:
        self.spec = spec
        self._path = folder / spec.model
        self._threads = int(spec.options["threads"] or usable_cores())
        self._runtime: Any = runtime()
        self._compiled: Any = None
        self._request: Any = None

    def __enter__(self) -> Self:
        """Compile the model for this machine."""
        hints = {
            "INFERENCE_PRECISION_HINT": self.spec.options.get("inference_precision", "f32"),  # older bundles do not say
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": self._threads,
        }
        self._compiled = self._runtime.Core().compile_model(str(self._path), "CPU", hints)
        self._request = self._compiled.create_infer_request()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Release it."""
        self._request = self._compiled = None

    def run(self, batch: Array) -> tuple[Array, ...]:
        """One inference."""
        check_batch(batch, self.spec.input)
        self._request.infer([batch])
        count = len(self.spec.outputs)
        return tuple(self._request.get_output_tensor(number).data.copy() for number in range(count))

    def facts(self) -> dict[str, Json]:
        """What is in force; ``products`` counts convolutions and matrix products by what they compute in."""
        return {
            "runtime": f"openvino {self._runtime.get_version()}",
            "threads": int(self._compiled.get_property("INFERENCE_NUM_THREADS")),
            "precision_hint": str(self._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()),
            "performance_hint": str(self._compiled.get_property("PERFORMANCE_HINT")),
            "products": self._products(),
        }

    def _products(self) -> dict[str, int]:
        found: Counter[str] = Counter()
        for operation in self._compiled.get_runtime_model().get_ordered_ops():
            notes = operation.get_rt_info()
            if notes["layerType"].astype(str) in _PRODUCTS:
                found[notes["runtimePrecision"].astype(str)] += 1
        return dict(sorted(found.items()))


def open_session(folder: Path, spec: EngineSpec) -> OpenVinoSession:
    """The session for an engine of this target."""
    return OpenVinoSession(folder, spec)
