"""The runtimes as they come, all defaults: what one would run without this project, to compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporters.openvino.target import OPENVINO as OPENVINO_TARGET
from exporters.ort_cpu.target import ORT_CPU
from pipeline.session import EngineSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporters.target import Precision, Target
    from pipeline.artifact import Json
    from pipeline.environment import Machine
    from pipeline.models.source import ModelSource

__all__ = ["ONNXRUNTIME", "OPENERS", "OPENVINO", "PYTORCH", "computes_in", "of_network", "of_onnx", "plain_runtimes"]

ONNXRUNTIME, OPENVINO, PYTORCH = "onnxruntime", "openvino, its defaults", "PyTorch eager"
"""Names of the runtimes; each stands in ``EngineSpec.target``."""

OPENERS = {
    ONNXRUNTIME: "exporters.default_sessions:open_onnxruntime",
    OPENVINO: "exporters.default_sessions:open_openvino",
    PYTORCH: "exporters.eager_session:open_pytorch",
}
"""Their openers; no targets, so not in the table of ``pipeline.catalog``."""

_READ_ONNX: dict[str, Target] = {ONNXRUNTIME: ORT_CPU, OPENVINO: OPENVINO_TARGET}
"""Those that read ONNX, each with the target that runs where it does."""


def plain_runtimes(cannot_run: Callable[[Target], str | None]) -> tuple[str, ...]:
    """Those that read ONNX and can be run.

    Args:
        cannot_run: Says of a target why its engines cannot be run where it is measured; None when they can.
    """
    return tuple(name for name, target in _READ_ONNX.items() if cannot_run(target) is None)


def computes_in(name: str, machine: Machine) -> Precision:
    """What a runtime computes a float network in by itself, on a machine."""
    return "bf16" if name == OPENVINO and "bf16" in OPENVINO_TARGET.for_machine(machine).precisions else "float"


def of_onnx(name: str, like: EngineSpec, model: str, *, threads: int | None = None) -> EngineSpec:
    """How a runtime opens an ONNX file that takes and gives what an engine of it does; None: its own threads."""
    return EngineSpec(target=name, model=model, input=like.input, outputs=like.outputs, options={"threads": threads})


def of_network(like: EngineSpec, source: ModelSource, *, threads: int | None = None) -> EngineSpec:
    """How PyTorch opens the network artifact that an engine was made from; None: all usable cores."""
    options: dict[str, Json] = {
        "threads": threads,
        **source.identity(),
        "task": source.task,
        "file": str(source.file) if source.file else None,
    }
    return EngineSpec(target=PYTORCH, model=".", input=like.input, outputs=like.outputs, options=options)
