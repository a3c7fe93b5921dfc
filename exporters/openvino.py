"""OpenVINO on the CPU."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from exporters.target import check_precision
from pipeline.environment import this_machine, usable_cores
from pipeline.errors import UsageError
from pipeline.session import EngineSpec, TensorSpec, check_batch
from pipeline.store import foreign_disk_errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from exporters.build_stage import Build
    from pipeline.artifact import Json
    from pipeline.environment import Machine
    from pipeline.session import Array

__all__ = ["OPENVINO", "OpenVinoSession", "OpenVinoTarget", "open_session"]

_MODEL = "model.xml"
_BOUNDARY = frozenset({"Parameter", "Result"})
_BF16 = frozenset({"avx512_bf16"})
"""Instructions by which a CPU multiplies bfloat16 itself; without them it would be slower than float32."""

_PRODUCTS = frozenset({"Convolution", "Deconvolution", "FullyConnected", "MatMul"})


@dataclass(frozen=True, slots=True)
class OpenVinoTarget:
    """OpenVINO's CPU plugin, on x86 and ARM."""

    name: str = "openvino"
    description: str = "OpenVINO on the CPU"
    distributions: tuple[str, ...] = ("openvino",)
    runtime: tuple[str, ...] = ("openvino", "numpy", "pillow")
    run_template: str = "run_openvino.py.template"

    @property
    def precisions(self) -> tuple[str, ...]:
        """Bfloat16 where the CPU multiplies it itself."""
        return ("float", "bf16", "int8") if _native_bf16() else ("float", "int8")

    def configured(self, section: Build) -> Self:
        """Nothing in a recipe is about it alone."""
        del section
        return self

    def dialect(self, machine: Machine) -> str:
        """Its plugin reads both dialects of ONNX Runtime and multiplies like its kernels do."""
        return "ort-arm" if machine.architecture in {"aarch64", "arm64"} else "ort-x86"

    def missing(self) -> str | None:
        """The package."""
        found = importlib.util.find_spec("openvino") is not None
        return None if found else "openvino is not installed: pip install 'edgewright[openvino]'"

    def variants(self, machine: Machine) -> tuple[Mapping[str, Json], ...]:
        """The latency hint settles threads and streams already."""
        del machine
        return ()

    def cannot_run(self) -> str | None:
        """Wherever it can be built it can be run."""
        return self.missing()

    def settings(self) -> dict[str, Json]:
        """What the float layers of an INT8 network compute in."""
        return {"native_bf16": _native_bf16()}

    def build(self, model: Path, folder: Path, *, precision: str) -> EngineSpec:
        """Convert to OpenVINO's own format, weights as they are but for bf16, which keeps 16 bits of them.

        What stays float in an INT8 network computes in bfloat16 where the CPU does that itself: its rounding is below
        that of the layers around it.

        What the converter notes about itself is taken out: it holds the path of the ONNX file, and names with numbers
        that go on counting through a process.
        """
        check_precision(self, precision)
        openvino = runtime()
        try:
            converted = openvino.convert_model(str(model))
        except Exception as error:  # openvino raises classes of its own that it does not export
            raise UsageError("OpenVINO cannot read this graph", where=model.name, got=str(error)) from error
        converted.set_friendly_name("model")
        for number, operation in enumerate(converted.get_ordered_ops()):
            if operation.get_type_name() not in _BOUNDARY:
                operation.set_friendly_name(f"{operation.get_type_name()}_{number}")
        del converted.rt_info["conversion_parameters"]
        with foreign_disk_errors(folder):
            openvino.save_model(converted, str(folder / _MODEL), compress_to_fp16=precision == "bf16")
        return EngineSpec(
            target=self.name,
            model=_MODEL,
            input=_spec(converted.inputs[0]),
            outputs=tuple(_spec(output) for output in converted.outputs),
            options={
                "threads": None,
                "inference_precision": "bf16" if precision != "float" and _native_bf16() else "f32",
            },
        )


def _native_bf16() -> bool:
    return bool(_BF16 & set(this_machine().isa))


OPENVINO = OpenVinoTarget()


def runtime() -> Any:  # noqa: ANN401 - openvino is untyped for our checks
    """OpenVINO without its telemetry, which else reports the import itself.

    OpenVINO takes a stub of its own where ``openvino_telemetry`` cannot be imported; so it cannot be.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # None is how Python marks absence
    return importlib.import_module("openvino")


def _spec(port: Any) -> TensorSpec:  # noqa: ANN401
    return TensorSpec(
        name=port.get_any_name(),
        shape=tuple(int(side) for side in port.get_shape()),
        dtype=np.dtype(port.get_element_type().to_dtype()).name,
    )


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
