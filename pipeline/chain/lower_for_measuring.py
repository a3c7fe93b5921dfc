"""A network as a float ONNX file, only to be measured: what is shipped is lowered by the calibrate stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from pipeline.artifact import FLOAT_MODEL, ArtifactKind
from pipeline.stage import Made

if TYPE_CHECKING:
    from pipeline.stage import Inputs, Workspace

__all__ = ["LowerForMeasuring"]

_COMPARED_IMAGES = 8


class LowerForMeasuring(BaseModel):
    """Lowering, with a few images to compare."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str] = "lower-for-measuring"
    version: ClassVar[int] = 3
    takes: ClassVar[tuple[ArtifactKind, ...]] = (ArtifactKind.NETWORK,)
    gives: ClassVar[ArtifactKind] = ArtifactKind.ONNX
    reads: ClassVar[tuple[str, ...]] = ("model", "calibration", "preprocess", "task")
    pins: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "timm", "onnx", "onnxscript", "onnxslim", "onnxruntime")

    opset: int

    exporters: tuple[Literal["dynamo", "torchscript"], ...] | None = None
    """In the order in which they are tried; None: as for what is shipped."""

    def run(self, inputs: Inputs, work: Workspace) -> Made:
        """Write ``float.onnx``.

        Raises:
            ParityError: when no exporter's graph computes what the network computes.
        """
        from pipeline.data.dataset import read_images
        from pipeline.lowering.export import EXPORTERS
        from pipeline.lowering.lower import lower
        from pipeline.lowering.parity import answers_of
        from pipeline.models.files import load_network

        subject = inputs.subject
        network = load_network(inputs.artifacts[ArtifactKind.NETWORK].root, subject.model)
        images = list(read_images(subject.calibration[:_COMPARED_IMAGES], subject.preprocess))
        lowered = lower(
            subject.task.deployable(network, subject.preprocess.shape),
            images,
            work.folder / FLOAT_MODEL,
            opset=self.opset,
            exporters=self.exporters or EXPORTERS,
            answers=answers_of(subject.task),
            progress=work.progress,
        )
        return Made(facts={}, notes=lowered.notes)
