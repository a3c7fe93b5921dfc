"""ONNX files in the runtimes that read them, opened with all defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from exporters.openvino.runtime import runtime as openvino_runtime
from pipeline.onnx_runtime import onnx_runtime
from pipeline.session import EngineSpec, check_batch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.artifact import Json
    from pipeline.session import Array

__all__ = ["DefaultSession", "open_onnxruntime", "open_openvino"]


class DefaultSession:
    """A loaded function from a batch to outputs."""

    def __init__(self, spec: EngineSpec, load: Callable[[], Callable[[Array], tuple[Array, ...]]], told: str) -> None:
        self.spec = spec
        self._load, self._told = load, told
        self._run: Callable[[Array], tuple[Array, ...]] | None = None

    def __enter__(self) -> Self:
        """Load the model."""
        self._run = self._load()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Release it."""
        self._run = None

    def run(self, batch: Array) -> tuple[Array, ...]:
        """One inference."""
        check_batch(batch, self.spec.input)
        assert self._run is not None  # noqa: S101 - within the block
        return self._run(batch)

    def facts(self) -> dict[str, Json]:
        """Which runtime."""
        return {"runtime": self._told}


def open_onnxruntime(folder: Path, spec: EngineSpec) -> DefaultSession:
    """ONNX Runtime's own choice of everything, on the CPU."""
    onnxruntime = onnx_runtime()

    def load() -> Callable[[Array], tuple[Array, ...]]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = spec.options["threads"] or 0  # its own choice
        session = onnxruntime.InferenceSession(str(folder / spec.model), options, providers=["CPUExecutionProvider"])
        return lambda batch: tuple(session.run(None, {spec.input.name: batch}))

    return DefaultSession(spec, load, f"onnxruntime {onnxruntime.__version__}")


def open_openvino(folder: Path, spec: EngineSpec) -> DefaultSession:
    """OpenVINO's own choice of everything, on the CPU; of precision too."""
    openvino = openvino_runtime()

    def load() -> Callable[[Array], tuple[Array, ...]]:
        threads = spec.options["threads"]
        hints = {"INFERENCE_NUM_THREADS": threads} if threads else {}
        compiled = openvino.compile_model(str(folder / spec.model), "CPU", hints)
        return lambda batch: tuple(output.copy() for output in compiled([batch]).values())

    return DefaultSession(spec, load, f"openvino {openvino.get_version()}")
