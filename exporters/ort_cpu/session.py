"""A model loaded by ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pipeline.environment import usable_cores
from pipeline.onnx_runtime import onnx_runtime
from pipeline.session import WITHIN_A_RUN, EngineSpec, check_batch

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.artifact import Json
    from pipeline.session import Array

__all__ = ["OrtCpuSession", "open_session"]


class OrtCpuSession:
    """A model in ONNX Runtime's CPU provider.

    Options of the spec: ``threads`` (None: all usable cores), ``spinning`` (whether idle threads burn their core
    while they wait: quicker alone, slower beside other work; or :data:`~pipeline.session.WITHIN_A_RUN`), ``arena``
    (whether memory is kept between runs).
    """

    def __init__(self, folder: Path, spec: EngineSpec) -> None:
        self.spec = spec
        self._path = folder / spec.model
        self._session: Any = None
        self._runtime = onnx_runtime()
        self._threads = int(spec.options["threads"] or usable_cores())

    def __enter__(self) -> Self:
        """Load the model."""
        options = self._runtime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = bool(self.spec.options["arena"])
        options.add_session_config_entry(
            "session.intra_op.allow_spinning", "1" if self.spec.options["spinning"] else "0"
        )
        if self.spec.options["spinning"] == WITHIN_A_RUN:
            options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = self._runtime.InferenceSession(str(self._path), options, providers=["CPUExecutionProvider"])
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Release it."""
        self._session = None

    def run(self, batch: Array) -> tuple[Array, ...]:
        """One inference."""
        check_batch(batch, self.spec.input)
        return tuple(self._session.run(None, {self.spec.input.name: batch}))

    def facts(self) -> dict[str, Json]:
        """What is in force."""
        return {
            "runtime": f"onnxruntime {self._runtime.__version__}",
            "providers": list(self._session.get_providers()),
            "threads": self._threads,
            "spinning": self.spec.options["spinning"],
            "arena": bool(self.spec.options["arena"]),
            "graph_level": "as built" if self._path.suffix == ".ort" else "all",
        }


def open_session(folder: Path, spec: EngineSpec) -> OrtCpuSession:
    """The session for an engine of this target."""
    return OrtCpuSession(folder, spec)
