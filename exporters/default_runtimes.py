"""The runtimes as they come, all defaults: what one would run without this project, to compare with."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from exporters.openvino.runtime import runtime as openvino_runtime
from exporters.openvino.target import OPENVINO as OPENVINO_TARGET
from pipeline.environment import usable_cores
from pipeline.models.source import ModelSource
from pipeline.session import EngineSpec, check_batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporters.target import Precision
    from pipeline.artifact import Json
    from pipeline.session import Array

__all__ = ["ONNXRUNTIME", "OPENERS", "OPENVINO", "PYTORCH", "computes_in", "of_network", "of_onnx", "plain_runtimes"]

ONNXRUNTIME, OPENVINO, PYTORCH = "onnxruntime", "openvino, its defaults", "PyTorch eager"
"""Names of the runtimes; each stands in ``EngineSpec.target``."""

OPENERS = {
    ONNXRUNTIME: "exporters.default_runtimes:open_onnxruntime",
    OPENVINO: "exporters.default_runtimes:open_openvino",
    PYTORCH: "exporters.default_runtimes:open_pytorch",
}
"""Their openers; no targets, so not in the table of ``pipeline.catalog``."""


def plain_runtimes() -> tuple[str, ...]:
    """Those installed here that read ONNX."""
    return tuple(name for name in (ONNXRUNTIME, OPENVINO) if importlib.util.find_spec(name.partition(",")[0]))


def computes_in(name: str) -> Precision:
    """What a runtime computes a float network in by itself, on this machine."""
    return "bf16" if name == OPENVINO and "bf16" in OPENVINO_TARGET.precisions else "float"


def of_onnx(name: str, like: EngineSpec, model: str, *, threads: int | None = None) -> EngineSpec:
    """How a runtime opens an ONNX file that takes and gives what an engine of it does; None: its own threads."""
    return EngineSpec(target=name, model=model, input=like.input, outputs=like.outputs, options={"threads": threads})


def of_network(like: EngineSpec, source: ModelSource, *, threads: int | None = None) -> EngineSpec:
    """How PyTorch opens the network artifact that an engine was made from; None: all usable cores."""
    options: dict[str, Json] = {
        "threads": threads,
        **source.identity(),
        "file": str(source.file) if source.file else None,
    }
    return EngineSpec(target=PYTORCH, model=".", input=like.input, outputs=like.outputs, options=options)


class _Plain:
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


def open_onnxruntime(folder: Path, spec: EngineSpec) -> _Plain:
    """ONNX Runtime's own choice of everything, on the CPU."""
    onnxruntime: Any = importlib.import_module("onnxruntime")

    def load() -> Callable[[Array], tuple[Array, ...]]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = spec.options["threads"] or 0  # its own choice
        session = onnxruntime.InferenceSession(str(folder / spec.model), options, providers=["CPUExecutionProvider"])
        return lambda batch: tuple(session.run(None, {spec.input.name: batch}))

    return _Plain(spec, load, f"onnxruntime {onnxruntime.__version__}")


def open_openvino(folder: Path, spec: EngineSpec) -> _Plain:
    """OpenVINO's own choice of everything, on the CPU; of precision too."""
    openvino = openvino_runtime()

    def load() -> Callable[[Array], tuple[Array, ...]]:
        threads = spec.options["threads"]
        hints = {"INFERENCE_NUM_THREADS": threads} if threads else {}
        compiled = openvino.compile_model(str(folder / spec.model), "CPU", hints)
        return lambda batch: tuple(output.copy() for output in compiled([batch]).values())

    return _Plain(spec, load, f"openvino {openvino.get_version()}")


def open_pytorch(folder: Path, spec: EngineSpec) -> _Plain:
    """The network itself in inference mode, on all cores."""
    import torch

    from pipeline.models.files import load_network

    options = spec.options
    source = ModelSource(
        origin=options["origin"],
        name=options["name"],
        file=Path(options["file"]) if options["file"] else None,
        file_sha256=options["file_sha256"],
    )

    def load() -> Callable[[Array], tuple[Array, ...]]:
        # Workers start with the helper threads of numeric libraries switched off.
        torch.set_num_threads(options["threads"] or usable_cores())
        network = load_network(folder, source)

        def run(batch: Array) -> tuple[Array, ...]:
            with torch.inference_mode():
                return (network(torch.from_numpy(batch)).numpy(),)

        return run

    return _Plain(spec, load, f"torch {torch.__version__}")
