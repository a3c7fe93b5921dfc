"""The network as a float ONNX graph, and what its activations look like: all that INT8 needs, for every target.

The graph comes from a PyTorch network, or from an ONNX file that was imported.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from pipeline.artifact import FLOAT_MODEL, ArtifactKind, canonical_json
from pipeline.errors import DataError
from pipeline.stage import Made

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.artifact import Json
    from pipeline.quantization.observe import Observation
    from pipeline.session import Array
    from pipeline.stage import Inputs, Workspace

__all__ = ["Calibrate", "CalibrateGraph"]

_COMPARED_IMAGES = 64
_FEW_IMAGES = 64
_ASKED_IMAGES = 16


class Calibrate(BaseModel):
    """Lowering to float ONNX, checked against PyTorch, and the activations' ranges over the calibration images."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str] = "calibrate"
    version: ClassVar[int] = 7
    takes: ClassVar[tuple[ArtifactKind, ...]] = (ArtifactKind.NETWORK,)
    gives: ClassVar[ArtifactKind] = ArtifactKind.CALIBRATION
    reads: ClassVar[tuple[str, ...]] = ("model", "calibration", "preprocess", "task")
    pins: ClassVar[tuple[str, ...]] = (
        "torch", "torchvision", "timm", "onnx", "onnxscript", "onnxslim", "onnxruntime", "pillow",
    )  # fmt: skip

    opset: Annotated[int, Field(ge=17, le=20)] = Field(
        default=18, description="17 to 20: what INT8 tools and TensorRT read"
    )

    def run(self, inputs: Inputs, work: Workspace) -> Made:
        """Write ``float.onnx``, ``ranges.json`` and ``means.safetensors``.

        Raises:
            ParityError: when no exporter's graph computes what the network computes.
            DataError: when a calibration image cannot be used.
        """
        from pipeline.lowering.lower import lower
        from pipeline.lowering.parity import answers_of
        from pipeline.models.files import load_network

        subject = inputs.subject
        _check_images(inputs)
        network = load_network(inputs.artifacts[ArtifactKind.NETWORK].root, subject.model)
        compared = list(_images(inputs, limit=_COMPARED_IMAGES))
        lowered = lower(
            subject.task.deployable(network, subject.preprocess.shape),
            compared,
            work.folder / FLOAT_MODEL,
            opset=self.opset,
            answers=answers_of(subject.task),
            progress=work.progress,
        )
        watched, doubts = _watch(inputs, work)
        facts = {
            "exporter": lowered.exporter,
            "max_relative_error": lowered.max_relative_error,
            "compared_inputs": lowered.checked_inputs,
            **watched,
        }
        agreement = f"{lowered.exporter} graph agrees with PyTorch to {lowered.max_relative_error:.1g} of its output"
        return Made(facts=facts, notes=(*lowered.notes, agreement, *doubts))


class CalibrateGraph(BaseModel):
    """The activations' ranges of a float graph that is there already."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str] = "calibrate"
    version: ClassVar[int] = 3
    takes: ClassVar[tuple[ArtifactKind, ...]] = (ArtifactKind.ONNX,)
    gives: ClassVar[ArtifactKind] = ArtifactKind.CALIBRATION
    reads: ClassVar[tuple[str, ...]] = ("calibration", "preprocess", "task")
    pins: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime", "pillow")

    def run(self, inputs: Inputs, work: Workspace) -> Made:
        """Write ``float.onnx``, ``ranges.json`` and ``means.safetensors``.

        Raises:
            DataError: when a calibration image cannot be used.
        """
        _check_images(inputs)
        shutil.copyfile(inputs.artifacts[ArtifactKind.ONNX].path(FLOAT_MODEL), work.folder / FLOAT_MODEL)
        facts, doubts = _watch(inputs, work)
        return Made(facts=facts, notes=tuple(doubts))


def _check_images(inputs: Inputs) -> None:
    if not inputs.subject.calibration:
        raise DataError("there are no calibration images", where="calibrate", fix="add images to the data")


def _watch(inputs: Inputs, work: Workspace) -> tuple[dict[str, Json], Sequence[str]]:
    """Watch the graph in the workspace over the calibration images, write what was seen; facts and doubts."""
    import onnx
    from safetensors.numpy import save_file

    from pipeline.quantization.calibrated import MEANS, RANGES
    from pipeline.quantization.graph import Graph
    from pipeline.quantization.observe import observe
    from pipeline.quantization.plan import tensors_to_observe

    model = onnx.load(work.folder / FLOAT_MODEL)
    graph = Graph(model)
    count = len(inputs.subject.calibration)
    with work.progress.track("watching activations", 2 * count) as ticker:
        watched, note = tensors_to_observe(graph), work.progress.note
        seen = observe(model, watched, lambda: _images(inputs), ticker, kept=work.kept, note=note)
    (work.folder / RANGES).write_text(canonical_json(_ranges(seen)) + "\n", encoding="utf-8")
    means = {name: of.channel_mean.astype("float32") for name, of in seen.items() if of.channel_mean is not None}
    save_file(means, work.folder / MEANS)
    facts = {"images": count, "tensors": len(seen), "answers": _told_with(model, inputs)}
    return facts, _doubts(seen, inputs)


def _told_with(model: Any, inputs: Inputs) -> Json:  # noqa: ANN401 - ModelProto
    from pipeline.quantization.sensitivity import outputs_of

    return inputs.subject.task.told_with(outputs_of(model, _images(inputs, limit=_ASKED_IMAGES)))


def _images(inputs: Inputs, *, limit: int | None = None) -> Iterator[Array]:
    from pipeline.data.dataset import read_images

    return read_images(inputs.subject.calibration[:limit], inputs.subject.preprocess)


def _ranges(seen: Mapping[str, Observation]) -> dict[str, dict[str, list[float]]]:
    """Tensor to method to [low, high]: all methods, since they come from one histogram."""
    from pipeline.quantization.ranges import METHODS

    return {
        tensor: {
            name: [limits.low, limits.high]
            for name, method in METHODS.items()
            if (limits := method(observation.histogram))
        }
        for tensor, observation in seen.items()
    }


def _doubts(seen: Mapping[str, Observation], inputs: Inputs) -> Sequence[str]:
    """What makes these ranges doubtful."""
    doubts = []
    count = len(inputs.subject.calibration)
    if count < _FEW_IMAGES:
        doubts.append(f"only {count} calibration images: ranges are uncertain, {_FEW_IMAGES} or more are better")
    constant = [name for name, observation in seen.items() if observation.histogram.low == observation.histogram.high]
    if constant:
        doubts.append(f"{len(constant)} tensors never changed over the calibration images, first {constant[0]!r}")
    return doubts
