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
) -> Artifact:
    """An engine artifact that runs what ``artifact`` holds.

    Args:
        artifact: A calibration or an ONNX artifact: a network is lowered before.
        build: Builds it from a file of an ONNX artifact.
        run: Runs a stage, or takes its result from the store.
    """
    if artifact.kind is ArtifactKind.CALIBRATION:
        artifact = run(_FloatOfCalibration(), {ArtifactKind.CALIBRATION: artifact})
    return run(build, {ArtifactKind.ONNX: artifact})
