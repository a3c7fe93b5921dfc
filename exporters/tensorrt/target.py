"""The targets ``tensorrt`` and ``tensorrt-rtx``."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from exporters.onnx_forms.half_precision import HalfFromFloat
from exporters.onnx_forms.open_batch import OpenBatchFromFixed, has_open_batch
from exporters.target import check_precision
from exporters.tensorrt.engine import build_engine, chosen_capabilities
from exporters.tensorrt.flavours import FLAVOURS, Flavour
from exporters.tensorrt.layers import check_layers, layers_of, products_by_precision
from exporters.tensorrt.options import TensorRtOptions
from exporters.tensorrt.parsing import parse
from exporters.tensorrt.sampled_roi_align import has_roi_align, sample_roi_align
from exporters.tensorrt.timing import timings_path
from pipeline.artifact import canonical_json, sha256_of_file
from pipeline.environment import this_machine
from pipeline.errors import UsageError
from pipeline.gpu import gpu_or_reason, this_gpu
from pipeline.session import EngineSpec, TensorSpec
from pipeline.store import default_root, foreign_disk_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporters.build_options import Build
    from pipeline.artifact import Json
    from pipeline.environment import Machine
    from pipeline.gpu import Gpu

__all__ = ["TENSORRT", "TENSORRT_RTX", "TensorRtTarget"]

_ENGINE, _SOURCE, _LAYERS = "model.engine", "model.onnx", "layers.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorRtTarget:
    """One flavour of TensorRT.

    Attributes:
        flavour: Which.
        options: What the builder is told.
        timings: Folder of the timing caches; None: beside the store.
        architecture: Of the machine it is for, where that is another than this one's.
    """

    name: str
    description: str
    distributions: tuple[str, ...]
    runtime: tuple[str, ...]
    flavour: Flavour
    run_template: str = "run_tensorrt.py.template"
    on_cpu: bool = False
    precisions: tuple[str, ...] = ("float", "fp16", "int8")
    options: TensorRtOptions = field(default_factory=TensorRtOptions)
    timings: Path | None = None
    architecture: str | None = None

    def configured(self, section: Build) -> TensorRtTarget:
        """With the builder's options.

        Raises:
            UsageError: for an option that this flavour lacks.
        """
        section.tensorrt.check(self.flavour)
        return self if section.tensorrt == self.options else replace(self, options=section.tensorrt)

    def for_machine(self, machine: Machine) -> TensorRtTarget:
        """Of another architecture it is missing here: kernels are built by the TensorRT of that one."""
        other = machine.architecture != this_machine().architecture
        return replace(self, architecture=machine.architecture) if other else self

    def dialect(self, machine: Machine) -> str:  # noqa: ARG002 - the same GPUs stand beside any CPU
        """Signed, symmetric, no quantised bias: what the parser takes."""
        return "tensorrt"

    def missing(self) -> str | None:
        """The bindings, or the GPU where kernels are chosen by timing them; all of it for another architecture."""
        if self.architecture is not None:
            return f"{self.name} builds on the architecture it will run on, {self.architecture}: deploy there"
        if not self.flavour.installed():
            return f"{self.flavour.name} is not installed: {self.flavour.install}"
        reason = gpu_or_reason()
        if not self.flavour.chooses_capabilities and isinstance(reason, str):
            return f"{self.flavour.name} builds only where the engine will run: {reason}; install the driver"
        return None

    def variants(self, machine: Machine) -> tuple[Mapping[str, Json], ...]:
        """Nothing: what there is to choose is chosen when the engine is built."""
        del machine
        return ()

    def cannot_run(self) -> str | None:
        """An engine needs the bindings, their way to the GPU's memory, and a GPU."""
        from exporters.tensorrt.memory import memory_missing

        gpu = gpu_or_reason()
        if trouble := self.missing() or memory_missing():
            return trouble
        return gpu if isinstance(gpu, str) else self.flavour.unfit(gpu)

    def cannot_suppress(self) -> str:
        """TensorRT for RTX 1.7 parses the operator and cannot build it; with TensorRT it was not tried."""
        return "shapes within the graph would depend on values, and TensorRT was not seen to build that"

    def settings(self) -> dict[str, Json]:
        """The builder's options, and the GPU or the compute capabilities it builds for."""
        gpu = this_gpu()
        return {
            **self.options.to_json(),
            "capabilities": list(chosen_capabilities(self.flavour, self.options, gpu)),
            "gpu": gpu.to_json() if gpu and not self.flavour.chooses_capabilities else None,
        }

    def build(self, model: Path, folder: Path, *, precision: str) -> EngineSpec:
        """Build ``model.engine`` and lay beside it the graph it was built from and the table of its layers.

        Raises:
            UsageError: for a precision, an option or a graph that cannot be built.
            ParityError: when FP16 or several images at once do not compute the same, or no convolution runs in the
                precision asked for.
        """
        check_precision(self, precision)
        source = folder / _SOURCE
        with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
            if self.options.largest_batch > 1 and not has_open_batch(model):
                fixed, model = model, Path(scratch, model.name)
                OpenBatchFromFixed(fixed, model)
            model = self._without_roi_align(model, Path(scratch))
            if precision == "fp16":
                HalfFromFloat(model, source)
            else:
                shutil.copyfile(model, source)
        trt, gpu = self.flavour.bindings(), this_gpu()
        parsed = parse(trt, source)
        layers = layers_of(parsed.network)
        check_layers(layers, precision, where=model.name)
        version = str(trt.__version__)
        with foreign_disk_errors(folder):
            engine = build_engine(parsed, self.flavour, self.options, gpu=gpu, timings=self._timings(version, gpu))
        (folder / _ENGINE).write_bytes(engine)
        table = {"precision": precision, "layers": [layer.to_json() for layer in layers]}
        (folder / _LAYERS).write_text(canonical_json(table) + "\n", encoding="utf-8")
        network = parsed.network
        return EngineSpec(
            target=self.name,
            model=_ENGINE,
            input=_spec(trt, network.get_input(0)),
            outputs=tuple(_spec(trt, network.get_output(index)) for index in range(network.num_outputs)),
            options={
                "module": self.flavour.module,
                "version": version,
                "precision": precision,
                "products": products_by_precision(layers),
                "sha256": sha256_of_file(folder / _ENGINE),
                "source": _SOURCE,
                "source_sha256": sha256_of_file(source),
                "builder": self.options.to_json(),
                **{key: value for key, value in self.settings().items() if key in {"capabilities", "gpu"}},
            },
        )

    def _without_roi_align(self, model: Path, scratch: Path) -> Path:
        """The graph, or a copy without the operator where the flavour lacks it."""
        import onnx

        graph = onnx.load(model)
        if not self.flavour.lacks_roi_align or not has_roi_align(graph):
            return model
        sample_roi_align(graph)
        onnx.save(graph, scratch / f"sampled-{model.name}")
        return scratch / f"sampled-{model.name}"

    def _timings(self, version: str, gpu: Gpu | None) -> Path | None:
        folder = self.timings or default_root() / "timings"
        return timings_path(folder, self.flavour.name, version, gpu) if gpu else None


def _spec(trt: Any, tensor: Any) -> TensorSpec:  # noqa: ANN401 - bindings have no types
    """Of one image at a time, however many the engine takes."""
    shape = tuple(1 if side < 0 else int(side) for side in tensor.shape)
    try:
        dtype = np.dtype(trt.nptype(tensor.dtype)).name
    except TypeError as error:
        raise UsageError(
            "this tensor has a type that numpy lacks",
            where=tensor.name,
            got=str(error),
            expected="a type that numpy has, as bfloat16 and float8 are not",
        ) from error
    return TensorSpec(name=tensor.name, shape=shape, dtype=dtype)


def _target(name: str, description: str) -> TensorRtTarget:
    flavour = FLAVOURS[name]
    return TensorRtTarget(
        name=name,
        description=description,
        distributions=(*flavour.distributions, "onnxconverter-common"),
        runtime=(*flavour.distributions, "cuda-bindings", "numpy", "pillow"),
        flavour=flavour,
    )


TENSORRT = _target("tensorrt", "TensorRT 10 or 11, on an NVIDIA GPU")
TENSORRT_RTX = _target("tensorrt-rtx", "TensorRT for RTX, on an NVIDIA GPU")
