"""A TensorRT engine on the GPU.

An engine is executable code. It is loaded only when its bytes are those whose hash stands in its spec, which itself
comes from a verified artifact or manifest, and when GPU, driver and version are those it was built for. An engine that
is intact but made for another GPU or version is built again from the ONNX file beside it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from exporters.tensorrt.engine import build_engine
from exporters.tensorrt.flavours import FLAVOURS
from exporters.tensorrt.memory import Buffer, Event, Stream, cuda_runtime
from exporters.tensorrt.options import TensorRtOptions
from exporters.tensorrt.parsing import parse, quiet_logger
from pipeline.errors import IntegrityError, UsageError
from pipeline.gpu import Gpu, gpu_or_reason
from pipeline.session import check_batch

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.artifact import Json
    from pipeline.session import Array, EngineSpec

__all__ = ["TensorRtSession", "misfit", "open_session", "verified_bytes"]

_AMPERE = 80
"""Hardware-compatible engines run from this compute capability on."""

_LOG = logging.getLogger(__name__)


def verified_bytes(path: Path, sha256: str) -> bytes:
    """The bytes of a file whose hash is known.

    Raises:
        IntegrityError: when they are others.
    """
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise IntegrityError(
            "this file is not the one that was built, and engines are executable code: it is not loaded",
            where=str(path),
            got=f"sha256 {found}",
            expected=f"sha256 {sha256}",
            fix="copy it again from where it was made, or make it anew",
        )
    return content


def misfit(options: dict[str, Any], version: str, gpu: Gpu) -> str | None:
    """Why an engine of these options does not run here; None when it does."""
    made, here = ([int(part) for part in text.split(".")[:3]] for text in (options["version"], version))
    if made != here and not (options["builder"]["version_compatible"] and here > made):
        return f"it was built with version {options['version']}, here is {version}"
    if options["builder"]["hardware_compatible"] and int(gpu.capability.removeprefix("sm")) >= _AMPERE:
        return None
    if gpu.capability not in options["capabilities"]:
        return f"it was built for {', '.join(options['capabilities'])}, this GPU is {gpu.name} ({gpu.capability})"
    made_on = options["gpu"]
    if made_on and made_on != gpu.to_json():
        was, now = (f"{one['name']} with driver {one['driver']}" for one in (made_on, gpu.to_json()))
        return f"it was built on {was}, this is {now}"
    return None


class TensorRtSession:
    """An engine of any flavour. One input, page-locked buffers, one stream."""

    def __init__(self, folder: Path, spec: EngineSpec) -> None:
        self.spec = spec
        self._folder = folder
        self._open = ExitStack()
        self._context: Any = None
        self._facts: dict[str, Json] = {}

    def __enter__(self) -> Self:
        """Verify and load the engine.

        Raises:
            IntegrityError: when engine or ONNX file are not what was built.
            UsageError: when there is no GPU, or it cannot load the engine.
        """
        options = dict(self.spec.options)
        content = verified_bytes(self._folder / self.spec.model, options["sha256"])
        gpu = gpu_or_reason()
        if not isinstance(gpu, Gpu):
            raise UsageError(
                "this engine cannot be run here",
                where=self.spec.target,
                got=gpu,
                fix="run it on a GPU like the one that it was built on, or deploy again on this one",
            )
        flavour = FLAVOURS[self.spec.target]
        trt = flavour.bindings()
        reason = misfit(options, trt.__version__, gpu)
        if reason:
            _LOG.warning("%s: %s; building it again from %s", self.spec.model, reason, options["source"])
            content = self._rebuilt(gpu)
        with ExitStack() as opened:
            self._load(trt, content, opened)
            self._open = opened.pop_all()
        self._facts = {
            "runtime": f"{flavour.name} {trt.__version__}",
            "threads": None,
            "gpu": gpu.to_json(),
            "products": options["products"],
            "engine_memory_bytes": int(self._engine.device_memory_size_v2),
            "rebuilt": reason,
        }
        return self

    def _rebuilt(self, gpu: Gpu) -> bytes:
        options = self.spec.options
        source = self._folder / options["source"]
        verified_bytes(source, options["source_sha256"])
        flavour = FLAVOURS[self.spec.target]
        builder = TensorRtOptions.model_validate({**options["builder"], "capabilities": ()})
        return build_engine(parse(flavour.bindings(), source), flavour, builder, gpu=gpu)

    def _load(self, trt: Any, content: bytes, opened: ExitStack) -> None:  # noqa: ANN401 - bindings have no types
        cuda = cuda_runtime()
        logger = quiet_logger(trt)
        runtime = trt.Runtime(logger)
        # A version-compatible engine brings the runtime of its version along; no other has code for the host to run.
        runtime.engine_host_code_allowed = bool(self.spec.options["builder"]["version_compatible"])
        engine = runtime.deserialize_cuda_engine(content)
        if engine is None:
            raise UsageError(
                "this engine cannot be loaded",
                where=self.spec.target,
                got="; ".join(logger.errors[-2:]) or None,
                fix="deploy again with the TensorRT and on the GPU that are here: engines of others are not read",
            )
        opened.callback(self._forget)
        self._engine, self._context = engine, engine.create_execution_context()
        self._stream = opened.enter_context(Stream(cuda))
        self._input = opened.enter_context(Buffer(cuda, self.spec.input))
        self._outputs = [opened.enter_context(Buffer(cuda, output)) for output in self.spec.outputs]
        self._context.set_input_shape(self.spec.input.name, self.spec.input.shape)
        for tensor, buffer in zip((self.spec.input, *self.spec.outputs), (self._input, *self._outputs), strict=True):
            self._context.set_tensor_address(tensor.name, buffer.device)

    def _forget(self) -> None:
        self._context = self._engine = None

    def __exit__(self, *exc_info: object) -> None:
        """Release it."""
        self._open.close()
        self._context = None

    def run(self, batch: Array) -> tuple[Array, ...]:
        """One inference: copy in, run, copy out, wait."""
        check_batch(batch, self.spec.input)
        np.copyto(self._input.host, batch)
        self._input.to_device(self._stream)
        self._execute()
        for buffer in self._outputs:
            buffer.to_host(self._stream)
        self._stream.wait()
        return tuple(buffer.host.copy() for buffer in self._outputs)

    def _execute(self) -> None:
        if not self._context.execute_async_v3(self._stream.handle):
            raise UsageError(
                "the engine did not run",
                where=self.spec.target,
                fix="see that the GPU has memory left (nvidia-smi), and run it again",
            )

    def spans(self, batch: Array) -> dict[str, int]:
        """Nanoseconds of one inference's parts by the GPU's clock: ``copy_in``, ``compute``, ``copy_out``."""
        check_batch(batch, self.spec.input)
        np.copyto(self._input.host, batch)
        with ExitStack() as opened:
            begun, given, computed, done = (opened.enter_context(Event(cuda_runtime())) for _ in range(4))
            begun.record(self._stream)
            self._input.to_device(self._stream)
            given.record(self._stream)
            self._execute()
            computed.record(self._stream)
            for buffer in self._outputs:
                buffer.to_host(self._stream)
            done.record(self._stream)
            self._stream.wait()
            return {
                "copy_in": given.nanoseconds_since(begun),
                "compute": computed.nanoseconds_since(given),
                "copy_out": done.nanoseconds_since(computed),
            }

    def facts(self) -> dict[str, Json]:
        """What is in force."""
        return dict(self._facts)

    def inspected(self) -> Json:
        """The fused layers of the loaded engine as TensorRT's own inspector tells them, with their precisions."""
        trt = FLAVOURS[self.spec.target].bindings()
        inspector = self._engine.create_engine_inspector()
        return json.loads(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def open_session(folder: Path, spec: EngineSpec) -> TensorRtSession:
    """The session for an engine of any TensorRT target."""
    return TensorRtSession(folder, spec)
