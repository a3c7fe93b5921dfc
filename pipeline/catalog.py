"""The tables: which targets and tasks there are. A new one is one file and one line here.

Values are import paths, resolved when asked for: the runtimes behind them are heavy and may be absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.errors import UnknownNameError
from pipeline.import_path import object_at
from pipeline.tasks.classification import Classification
from pipeline.tasks.detection.detection import Detection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporters.target import Target
    from pipeline.tasks import Task

__all__ = ["JOINERS", "OPENERS", "TARGETS", "TASKS", "target_named", "task_named", "task_of"]

TARGETS = {
    "ort-cpu": "exporters.ort_cpu.target:ORT_CPU",
    "openvino": "exporters.openvino.target:OPENVINO",
    "ort-cuda": "exporters.ort_cuda.target:ORT_CUDA",
    "ort-tensorrt": "exporters.ort_cuda.target:ORT_TENSORRT",
    "tensorrt": "exporters.tensorrt.target:TENSORRT",
    "tensorrt-rtx": "exporters.tensorrt.target:TENSORRT_RTX",
}
"""Target name to the object that builds for it."""

OPENERS = {
    "ort-cpu": "exporters.ort_cpu.session:open_session",
    "openvino": "exporters.openvino.session:open_session",
    "ort-cuda": "exporters.ort_cuda.session:open_session",
    "ort-tensorrt": "exporters.ort_cuda.session:open_session",
    "tensorrt": "exporters.tensorrt.session:open_session",
    "tensorrt-rtx": "exporters.tensorrt.session:open_session",
    "ensemble": "exporters.ensemble:open_session",
}
"""Target name to the function that opens what was built: ``(folder, EngineSpec) -> Session``."""

JOINERS = {
    "classification": "pipeline.tasks.joining.classification:joined",
    "detection": "pipeline.tasks.joining.detection:joined",
}
"""Task name to the function that makes one answer of what several networks say: ``(said, told) -> Outputs``."""

TASKS: dict[str, Task] = {"classification": Classification(), "detection": Detection()}


def target_named(name: str) -> Target:
    """The target of that name.

    Raises:
        UnknownNameError: naming the nearest ones.
    """
    if name not in TARGETS:
        raise UnknownNameError("target", name, TARGETS, fix="`edgewright targets` lists what can be built here")
    target: Target = object_at(TARGETS[name])
    return target


def task_named(name: str) -> Task:
    """The task of that name.

    Raises:
        UnknownNameError: naming the nearest ones.
    """
    if name not in TASKS:
        raise UnknownNameError("task", name, TASKS)
    return TASKS[name]


def task_of(manifest: Mapping[str, Any]) -> Task:
    """The task of a bundle, which reads its outputs as its manifest says.

    Raises:
        UnknownNameError: naming the nearest ones.
    """
    return task_named(manifest["task"]).reading(manifest.get("answers"))
