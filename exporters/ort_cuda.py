"""ONNX Runtime on an NVIDIA GPU, by its CUDA or its TensorRT provider."""

from __future__ import annotations

import importlib
import shutil
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from exporters.half_precision import HalfFromFloat
from exporters.ort_wheels import GPU_WHEEL, wheel_missing
from exporters.target import check_precision
from pipeline.errors import UsageError
from pipeline.gpu import gpu_or_reason
from pipeline.session import EngineSpec, TensorSpec, check_batch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from exporters.build_stage import Build
    from pipeline.artifact import Json
    from pipeline.environment import Machine
    from pipeline.session import Array

__all__ = ["ORT_CUDA", "ORT_TENSORRT", "OrtGpuSession", "OrtGpuTarget", "nodes_by_provider", "open_session"]

_MODEL = "model.onnx"
_CPU, _CUDA, _TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
_TENSORRT_FLAGS = {"float": {}, "fp16": {"trt_fp16_enable": "1"}, "int8": {"trt_int8_enable": "1"}}
"""The provider makes weakly typed networks, which want a flag for what stands in the graph already."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OrtGpuTarget:
    """One of the GPU providers.

    Attributes:
        provider: ONNX Runtime's name of it.
    """

    name: str
    description: str
    provider: str
    distributions: tuple[str, ...] = (GPU_WHEEL, "onnxconverter-common")
    runtime: tuple[str, ...] = (GPU_WHEEL, "numpy", "pillow")
    run_template: str = "run_ort_gpu.py.template"
    precisions: tuple[str, ...] = ("float", "fp16", "int8")

    def configured(self, section: Build) -> Self:
        """Nothing in a recipe is about it alone."""
        del section
        return self

    def dialect(self, machine: Machine) -> str:  # noqa: ARG002 - the same GPUs stand beside any CPU
        """Signed and symmetric, as GPUs multiply."""
        return "tensorrt"

    def missing(self) -> str | None:
        """The GPU wheel, alone."""
        return wheel_missing(GPU_WHEEL)

    def variants(self, machine: Machine) -> tuple[Mapping[str, Json], ...]:
        """Nothing: the work is the GPU's."""
        del machine
        return ()

    def cannot_run(self) -> str | None:
        """The wheel and a GPU."""
        reason = gpu_or_reason()
        return self.missing() or (reason if isinstance(reason, str) else None)

    def settings(self) -> dict[str, Json]:
        """Nothing: the graph is optimised on the device, for the provider that is there."""
        return {}

    def build(self, model: Path, folder: Path, *, precision: str) -> EngineSpec:
        """Lay the graph ready in the precision asked for.

        It is not optimised offline: what the optimiser may fuse depends on the provider, which needs the GPU.

        Raises:
            ParityError: when FP16 does not compute the same.
        """
        check_precision(self, precision)
        if precision == "fp16":
            HalfFromFloat(model, folder / _MODEL)
        else:
            shutil.copyfile(model, folder / _MODEL)
        given, outputs = _ports(folder / _MODEL)
        flags = _TENSORRT_FLAGS[precision] if self.provider == _TENSORRT else {}
        return EngineSpec(
            target=self.name,
            model=_MODEL,
            input=given,
            outputs=outputs,
            options={"provider": self.provider, "provider_options": flags, "cuda_graph": True, "precision": precision},
        )


ORT_CUDA = OrtGpuTarget(name="ort-cuda", description="ONNX Runtime's CUDA provider", provider=_CUDA)
ORT_TENSORRT = OrtGpuTarget(name="ort-tensorrt", description="ONNX Runtime's TensorRT provider", provider=_TENSORRT)


def _ports(model: Path) -> tuple[TensorSpec, tuple[TensorSpec, ...]]:
    import onnx

    graph = onnx.load(model, load_external_data=False).graph
    (given,) = graph.input
    return _spec(given), tuple(_spec(output) for output in graph.output)


def _spec(value: Any) -> TensorSpec:  # noqa: ANN401 - ValueInfoProto
    import onnx

    tensor = value.type.tensor_type
    return TensorSpec(
        name=value.name,
        shape=tuple(int(side.dim_value) or 1 for side in tensor.shape.dim),
        dtype=onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name,
    )


def nodes_by_provider(session: Any) -> dict[str, int]:  # noqa: ANN401 - onnxruntime has no types
    """Provider to how many nodes it was given; of a session with ``session.record_ep_graph_assignment_info``."""
    found: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        found[part.ep_name] += len(part.get_nodes())
    return dict(sorted(found.items()))


class OrtGpuSession:
    """A model in one of ONNX Runtime's GPU providers, its input and outputs bound to memory of the GPU.

    Options of the spec: ``provider``, ``provider_options``, and ``cuda_graph`` (whether the whole inference is
    recorded once and replayed; only where no node fell back to the CPU).
    """

    def __init__(self, folder: Path, spec: EngineSpec) -> None:
        self.spec = spec
        self._path = folder / spec.model
        self._runtime: Any = importlib.import_module("onnxruntime")
        self._session: Any = None
        self._facts: dict[str, Json] = {}

    def __enter__(self) -> Self:
        """Load the model.

        Raises:
            UsageError: when there is no GPU, or ONNX Runtime quietly took another provider.
        """
        reason = gpu_or_reason()
        if isinstance(reason, str):
            raise UsageError("this engine cannot be run here", where=self.spec.target, got=reason)
        session = self._opened({})
        nodes = nodes_by_provider(session)
        graph = bool(self.spec.options["cuda_graph"]) and nodes.get(_CPU, 0) == 0
        if graph:
            flag = "trt_cuda_graph_enable" if self.spec.options["provider"] == _TENSORRT else "enable_cuda_graph"
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
        fallback = [(_CUDA, {"device_id": "0"})] if provider == _TENSORRT else []
        session = self._runtime.InferenceSession(
            str(self._path), options, providers=[(provider, chosen), *fallback, _CPU]
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
