"""A model loaded by ONNX Runtime on an NVIDIA GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from exporters.ort_cuda.providers import CPU, CUDA, TENSORRT, nodes_by_provider
from pipeline.errors import UsageError
from pipeline.gpu import gpu_or_reason
from pipeline.onnx_runtime import onnx_runtime
from pipeline.session import EngineSpec, check_batch

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.artifact import Json
    from pipeline.session import Array

__all__ = ["OrtGpuSession", "open_session"]


class OrtGpuSession:
    """A model in one of ONNX Runtime's GPU providers, its input and outputs bound to memory of the GPU.

    Options of the spec: ``provider``, ``provider_options``, and ``cuda_graph`` (whether the whole inference is
    recorded once and replayed; only where no node fell back to the CPU).
    """

    def __init__(self, folder: Path, spec: EngineSpec) -> None:
        self.spec = spec
        self._path = folder / spec.model
        self._runtime = onnx_runtime()
        self._session: Any = None
        self._facts: dict[str, Json] = {}

    def __enter__(self) -> Self:
        """Load the model.

        Raises:
            UsageError: when there is no GPU, or ONNX Runtime quietly took another provider.
        """
        reason = gpu_or_reason()
        if isinstance(reason, str):
            raise UsageError(
                "this engine cannot be run here",
                where=self.spec.target,
                got=reason,
                fix="`edgewright doctor` says what is missing",
            )
        session = self._opened({})
        nodes = nodes_by_provider(session)
        graph = bool(self.spec.options["cuda_graph"]) and nodes.get(CPU, 0) == 0
        if graph:
            flag = "trt_cuda_graph_enable" if self.spec.options["provider"] == TENSORRT else "enable_cuda_graph"
            session = self._opened({flag: "1"})
        self._bind(session)
        self._facts = {
            "runtime": f"onnxruntime {self._runtime.__version__}",
            "providers": list(session.get_providers()),
            "threads": None,
            "gpu": reason.to_json(),
            "nodes": nodes,
            "cuda_graph": graph,
        }
        return self

    def _opened(self, more: dict[str, str]) -> Any:  # noqa: ANN401
        provider = self.spec.options["provider"]
        options = self._runtime.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        chosen = {"device_id": "0", **self.spec.options["provider_options"], **more}
        fallback = [(CUDA, {"device_id": "0"})] if provider == TENSORRT else []
        session = self._runtime.InferenceSession(
            str(self._path), options, providers=[(provider, chosen), *fallback, CPU]
        )
        if session.get_providers()[0] != provider:
            raise UsageError(
                f"{provider} is not in use",
                where=self.spec.target,
                got=", ".join(session.get_providers()),
                fix="its libraries (CUDA, cuDNN, TensorRT) are not found: see `edgewright doctor`",
            )
        return session

    def _bind(self, session: Any) -> None:  # noqa: ANN401
        value = self._runtime.OrtValue
        given = self.spec.input
        self._input = value.ortvalue_from_numpy(np.zeros(given.shape, given.dtype), "cuda", 0)
        self._outputs = [
            value.ortvalue_from_shape_and_type(list(output.shape), np.dtype(output.dtype).type, "cuda", 0)
            for output in self.spec.outputs
        ]
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(given.name, self._input)
        for output, bound in zip(self.spec.outputs, self._outputs, strict=True):
            self._binding.bind_ortvalue_output(output.name, bound)
        self._session = session

    def __exit__(self, *exc_info: object) -> None:
        """Release it."""
        self._session = self._binding = self._input = None
        self._outputs = []

    def run(self, batch: Array) -> tuple[Array, ...]:
        """One inference: copy in, run, copy out."""
        check_batch(batch, self.spec.input)
        self._input.update_inplace(np.ascontiguousarray(batch))
        self._session.run_with_iobinding(self._binding)
        return tuple(output.numpy() for output in self._outputs)

    def facts(self) -> dict[str, Json]:
        """What is in force; ``nodes`` counts by provider, so that a fallback to the CPU is seen."""
        return dict(self._facts)


def open_session(folder: Path, spec: EngineSpec) -> OrtGpuSession:
    """The session for an engine of either provider."""
    return OrtGpuSession(folder, spec)
