"""OpenVINO on the CPU."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from exporters.openvino.runtime import runtime
from exporters.target import check_precision
from pipeline.environment import this_machine
from pipeline.errors import UsageError
from pipeline.session import EngineSpec, TensorSpec
from pipeline.store import foreign_disk_errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from exporters.build_options import Build
    from pipeline.artifact import Json
    from pipeline.environment import Machine

__all__ = ["OPENVINO", "OpenVinoTarget"]

_MODEL = "model.xml"
_BOUNDARY = frozenset({"Parameter", "Result"})
_BF16 = frozenset({"avx512_bf16"})
"""Instructions by which a CPU multiplies bfloat16 itself; without them it would be slower than float32."""


@dataclass(frozen=True, slots=True)
class OpenVinoTarget:
    """OpenVINO's CPU plugin, on x86 and ARM.

    Attributes:
        machine: That it is built for; None: this one.
    """

    name: str = "openvino"
    description: str = "OpenVINO on the CPU"
    distributions: tuple[str, ...] = ("openvino",)
    runtime: tuple[str, ...] = ("openvino", "numpy", "pillow")
    run_template: str = "run_openvino.py.template"
    on_cpu: bool = True
    machine: Machine | None = None

    @property
    def precisions(self) -> tuple[str, ...]:
        """Bfloat16 where the CPU multiplies it itself."""
        return ("float", "bf16", "int8") if self._native_bf16 else ("float", "int8")

    @property
    def _native_bf16(self) -> bool:
        return bool(_BF16 & set((self.machine or this_machine()).isa))

    def configured(self, section: Build) -> Self:
        """Nothing in a recipe is about it alone."""
        del section
        return self

    def for_machine(self, machine: Machine) -> Self:
        """Its instructions decide whether there is bfloat16."""
        return self if machine == this_machine() else replace(self, machine=machine)

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

    def cannot_suppress(self) -> None:
        """It has a kernel for it."""

    def settings(self) -> dict[str, Json]:
        """What the float layers of an INT8 network compute in."""
        return {"native_bf16": self._native_bf16}

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
            raise UsageError(
                "OpenVINO cannot read this graph",
                where=model.name,
                got=str(error),
                fix="build for --target ort-cpu, or set calibrate.opset=17",
            ) from error
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
                "inference_precision": "bf16" if precision != "float" and self._native_bf16 else "f32",
            },
        )


OPENVINO = OpenVinoTarget()


def _spec(port: Any) -> TensorSpec:  # noqa: ANN401
    return TensorSpec(
        name=port.get_any_name(),
        shape=tuple(int(side) for side in port.get_shape()),
        dtype=np.dtype(port.get_element_type().to_dtype()).name,
    )
