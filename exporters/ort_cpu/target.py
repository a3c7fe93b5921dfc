"""ONNX Runtime on the CPU."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from exporters.onnxruntime_wheels import mixture
from exporters.ort_cpu.operator_list import write_operator_list
from exporters.target import check_precision
from pipeline.environment import this_machine
from pipeline.onnx_runtime import onnx_runtime
from pipeline.session import EngineSpec, TensorSpec
from pipeline.store import foreign_disk_errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from exporters.build_options import Build
    from pipeline.artifact import Json
    from pipeline.environment import Machine

__all__ = ["ORT_CPU", "OrtCpuTarget"]

_MODEL, _ORT_MODEL, _OPERATORS = "model.onnx", "model.ort", "operators.config"
_ARM = frozenset({"aarch64", "arm64"})
_DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int64)": "int64", "tensor(float16)": "float16"}


@dataclass(frozen=True, slots=True)
class OrtCpuTarget:
    """ONNX Runtime's CPU provider, on x86 and ARM.

    Attributes:
        ort_format: Whether the model is written in ONNX Runtime's own format, which its reduced builds for phones and
            boards read, with the list of operators that such a build needs.
        architecture: Of the machine it is built for; None: that of this one.
    """

    name: str = "ort-cpu"
    description: str = "ONNX Runtime on the CPU"
    distributions: tuple[str, ...] = ("onnxruntime",)
    runtime: tuple[str, ...] = ("onnxruntime", "numpy", "pillow")
    run_template: str = "run_ort.py.template"
    on_cpu: bool = True
    precisions: tuple[str, ...] = ("float", "int8")
    ort_format: bool = False
    architecture: str | None = None

    def configured(self, section: Build) -> Self:
        """In the format that the recipe wants."""
        return self if section.ort_format == self.ort_format else replace(self, ort_format=section.ort_format)

    def for_machine(self, machine: Machine) -> Self:
        """For kernels of its architecture."""
        other = machine.architecture != this_machine().architecture
        return replace(self, architecture=machine.architecture) if other else self

    def dialect(self, machine: Machine) -> str:
        """Unsigned activations are what the x86 kernels multiply fast, signed ones what the ARM kernels do."""
        return "ort-arm" if machine.architecture in _ARM else "ort-x86"

    def missing(self) -> str | None:
        """Onnxruntime is a dependency of the project, but two of its wheels together are no runtime."""
        found = importlib.util.find_spec("onnxruntime") is not None
        return mixture() if found else "onnxruntime is not installed: pip install onnxruntime"

    def variants(self, machine: Machine) -> tuple[Mapping[str, Json], ...]:
        """Threads that wait actively; no arena; half the cores, since two threads of one core share its multipliers."""
        halves: tuple[Mapping[str, Json], ...] = ({"threads": machine.cores // 2},) if machine.cores >= 4 else ()
        return ({"spinning": True}, {"arena": False}, *halves)

    def cannot_run(self) -> str | None:
        """Wherever it can be built it can be run: the CPU provider is in every wheel."""
        return self.missing()

    def cannot_suppress(self) -> None:
        """It has a kernel for it."""

    def settings(self) -> dict[str, Json]:
        """The format, and another machine's architecture; the level of optimisation is fixed."""
        other = {} if self.architecture is None else {"architecture": self.architecture}
        return {"ort_format": self.ort_format, **other}

    def build(self, model: Path, folder: Path, *, precision: str) -> EngineSpec:
        """Optimise the graph once, offline, so that the device does not do it at every start.

        The level is 'extended': its fusions hold on every CPU. The next one, 'all', would write the memory layout of
        this very machine's vector units into the file; the session adds it on the device, when it loads. A file in
        ORT format is taken as it is, and its bytes differ from one build to the next: ONNX Runtime writes a table of
        operators in the order of a hash.

        For ARM signed activations are left as they are written; on x86 the optimiser would make them unsigned.
        """
        check_precision(self, precision)
        onnxruntime = onnx_runtime()
        path = folder / (_ORT_MODEL if self.ort_format else _MODEL)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(path)
        options.add_session_config_entry("session.save_model_format", "ORT" if self.ort_format else "ONNX")
        if self.architecture in _ARM:
            options.add_session_config_entry("session.qdqisint8allowed", "1")
        with foreign_disk_errors(folder):
            session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        if self.ort_format:
            write_operator_list(path, folder / _OPERATORS)
        return EngineSpec(
            target=self.name,
            model=path.name,
            input=_spec(session.get_inputs()[0]),
            outputs=tuple(_spec(output) for output in session.get_outputs()),
            options={"threads": None, "spinning": False, "arena": True},
        )


ORT_CPU = OrtCpuTarget()


def _spec(node: Any) -> TensorSpec:  # noqa: ANN401 - onnxruntime has no types
    return TensorSpec(name=node.name, shape=tuple(node.shape), dtype=_DTYPES[node.type])
