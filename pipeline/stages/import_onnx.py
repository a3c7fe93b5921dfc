"""The first stage of a model that comes as an ONNX file: read, brought to one form, compared with the file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from pipeline.artifact import FLOAT_MODEL, ArtifactKind
from pipeline.errors import DataError, UsageError
from pipeline.stage import Made

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.stage import Inputs, Workspace

__all__ = ["ImportOnnx"]

_COMPARED_IMAGES = 64


class ImportOnnx(BaseModel):
    """The file as a user without this tool would run it, which is the yardstick: the baseline of an ONNX file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str] = "baseline"
    version: ClassVar[int] = 1
    takes: ClassVar[tuple[ArtifactKind, ...]] = ()
    gives: ClassVar[ArtifactKind] = ArtifactKind.ONNX
    reads: ClassVar[tuple[str, ...]] = ("model", "calibration", "preprocess")
    pins: ClassVar[tuple[str, ...]] = ("onnx", "onnxslim", "onnxruntime", "pillow")

    opset: Annotated[int, Field(ge=17, le=20)] = 18
    """That calibrate is told to write."""

    def run(self, inputs: Inputs, work: Workspace) -> Made:
        """Write ``float.onnx``; the facts hold parameters and multiply-accumulates.

        Raises:
            UsageError: when the file changed, does not run, or does not fit the data.
            ParityError: when no form of it computes what it computes.
        """
        import onnx

        from pipeline.data.dataset import read_images
        from pipeline.lowering.onnx_import.imported import FloatFromOnnx
        from pipeline.models.onnx_file import read_onnx_file
        from pipeline.quantization.share import weighted_macs

        subject = inputs.subject
        source = subject.model
        if source.file is None:
            raise UsageError(f"the file of model {source.name!r} is not known", fix="give it as path/to/model.onnx")
        if not subject.calibration:
            raise DataError("there are no calibration images", where="baseline", fix="add images to the data")
        file = read_onnx_file(source.file)
        if file.sha256 != source.file_sha256:
            raise _changed(source.file)
        imported = FloatFromOnnx(
            file,
            list(read_images(subject.calibration[:_COMPARED_IMAGES], subject.preprocess)),
            work.folder / FLOAT_MODEL,
            classes=len(subject.classes),
            output=source.output,
            opset=self.opset,
            progress=work.progress,
        )
        if read_onnx_file(source.file).sha256 != source.file_sha256:
            raise _changed(source.file)
        graph = onnx.load(work.folder / FLOAT_MODEL)
        facts = {
            "params": _parameters(graph),
            "macs": sum(weighted_macs(graph).values()),
            "opset": imported.opset,
            "max_relative_error": imported.max_relative_error,
            "compared_inputs": imported.checked_inputs,
        }
        versions = str(file.opset) if file.opset == imported.opset else f"{file.opset} as {imported.opset}"
        agreement = (
            f"opset {versions}: the graph agrees with the file to {imported.max_relative_error:.1g} of its output"
        )
        return Made(facts=facts, notes=(*imported.notes, agreement))


def _changed(file: Path) -> UsageError:
    return UsageError("the ONNX file changed while it was in use", where=str(file), fix="start again")


def _parameters(model: Any) -> int:  # noqa: ANN401 - ModelProto
    """Number of float scalars among the constants: weights, biases, and what normalisations were folded into."""
    from onnx import TensorProto

    return sum(math.prod(item.dims) for item in model.graph.initializer if item.data_type == TensorProto.FLOAT)
