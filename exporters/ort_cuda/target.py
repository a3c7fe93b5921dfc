"""ONNX Runtime on an NVIDIA GPU, by its CUDA or its TensorRT provider."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from exporters.onnx_forms.half_precision import HalfFromFloat
from exporters.onnxruntime_wheels import GPU_WHEEL, wheel_missing
from exporters.ort_cuda.providers import CUDA, TENSORRT
from exporters.target import check_precision
from pipeline.gpu import gpu_or_reason
from pipeline.session import EngineSpec, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from exporters.build_options import Build
    from pipeline.artifact import Json
    from pipeline.environment import Machine

__all__ = ["ORT_CUDA", "ORT_TENSORRT", "OrtGpuTarget"]

_MODEL = "model.onnx"
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
    on_cpu: bool = False
    precisions: tuple[str, ...] = ("float", "fp16", "int8")

    def configured(self, section: Build) -> Self:
        """Nothing in a recipe is about it alone."""
        del section
        return self

    def for_machine(self, machine: Machine) -> Self:
        """The same: the graph is optimised where it runs."""
        del machine
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

    def cannot_suppress(self) -> None:
        """It has a kernel for it."""

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
        flags = _TENSORRT_FLAGS[precision] if self.provider == TENSORRT else {}
        return EngineSpec(
            target=self.name,
            model=_MODEL,
            input=given,
            outputs=outputs,
            options={"provider": self.provider, "provider_options": flags, "cuda_graph": True, "precision": precision},
        )


ORT_CUDA = OrtGpuTarget(name="ort-cuda", description="ONNX Runtime's CUDA provider", provider=CUDA)
ORT_TENSORRT = OrtGpuTarget(name="ort-tensorrt", description="ONNX Runtime's TensorRT provider", provider=TENSORRT)


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
