"""What a stage made, brought to the target's runtime so that it can be measured like everything else.

A network is lowered to float ONNX, a calibration has its float graph, an export its Q/DQ file; each is then built by
the target. The results are kept in the store like a stage's.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict

from pipeline.artifact import FLOAT_MODEL, ArtifactKind
from pipeline.stage import Made

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.artifact import Artifact
    from pipeline.stage import Inputs, Stage, Workspace
    from pipeline.stages.build import BuildFor

__all__ = ["probe_engine"]

_COMPARED_IMAGES = 8


class _LowerForProbe(BaseModel):
    """A network as a float ONNX file, only to be measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str] = "lower-for-measuring"
    version: ClassVar[int] = 1
    takes: ClassVar[tuple[ArtifactKind, ...]] = (ArtifactKind.NETWORK,)
    gives: ClassVar[ArtifactKind] = ArtifactKind.ONNX
    reads: ClassVar[tuple[str, ...]] = ("model", "calibration", "preprocess", "task")
    pins: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "timm", "onnx", "onnxscript", "onnxslim", "onnxruntime")

    opset: int

    def run(self, inputs: Inputs, work: Workspace) -> Made:
        """Lower, with a few images to compare."""
        from pipeline.data.dataset import read_images
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
            answers=answers_of(subject.task),
            progress=work.progress,
        )
        return Made(facts={}, notes=lowered.notes)


class _FloatOfCalibration(BaseModel):
    """The float graph of a calibration, only to be measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str] = "float-of-calibration"
    version: ClassVar[int] = 1
    takes: ClassVar[tuple[ArtifactKind, ...]] = (ArtifactKind.CALIBRATION,)
    gives: ClassVar[ArtifactKind] = ArtifactKind.ONNX
    reads: ClassVar[tuple[str, ...]] = ()
    pins: ClassVar[tuple[str, ...]] = ()

    def run(self, inputs: Inputs, work: Workspace) -> Made:
        """Copy it."""
        shutil.copyfile(inputs.artifacts[ArtifactKind.CALIBRATION].path(FLOAT_MODEL), work.folder / FLOAT_MODEL)
        return Made(facts={})


def probe_engine(
    artifact: Artifact,
    build: BuildFor,
    run: Callable[[Stage, Mapping[ArtifactKind, Artifact]], Artifact],
    *,
    opset: int,
) -> Artifact:
    """An engine artifact that runs what ``artifact`` holds.

    Args:
        artifact: A network, a calibration or an ONNX artifact.
        build: Builds it from a file of an ONNX artifact.
        run: Runs a stage, or takes its result from the store.
        opset: Of the lowering.
    """
    lowerings: dict[ArtifactKind, Stage] = {
        ArtifactKind.NETWORK: _LowerForProbe(opset=opset),
        ArtifactKind.CALIBRATION: _FloatOfCalibration(),
    }
    onnx = run(lowerings[artifact.kind], {artifact.kind: artifact}) if artifact.kind in lowerings else artifact
    return run(build, {ArtifactKind.ONNX: onnx})
