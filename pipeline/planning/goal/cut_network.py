"""A network with fewer channels, blocks or pixels that has learned nothing since: what a plan is tried with."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, PositiveInt

from pipeline.artifact import ArtifactKind
from pipeline.stage import Made

if TYPE_CHECKING:
    from pipeline.stage import Inputs, Workspace

__all__ = ["IMAGES", "CutNetwork"]

IMAGES = 2048
"""Training images by which channels and blocks are judged: quick with any data."""
_STATISTICS_OF = 256
"""Of these as many as batch norms are measured anew on: what is measured then is a time, and an accuracy that chooses
nothing."""


class CutNetwork(BaseModel):
    """Channels and blocks go, batch norms are measured anew at the input's size: what a network is before recovery."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str] = "cut"
    version: ClassVar[int] = 6
    takes: ClassVar[tuple[ArtifactKind, ...]] = (ArtifactKind.NETWORK,)
    gives: ClassVar[ArtifactKind] = ArtifactKind.NETWORK
    reads: ClassVar[tuple[str, ...]] = ("model", "train", "calibration", "preprocess", "task")
    pins: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "timm", "torch-pruning", "pillow")

    channels: dict[str, PositiveInt]
    """Root layer to how many stay; empty: all."""

    blocks: tuple[str, ...] = ()
    """Residual blocks that are left out."""

    before: tuple[int, int] | None = None
    """Height and width of the network's input so far, where it is smaller now."""

    importance: str
    keep: tuple[str, ...] = ()

    def run(self, inputs: Inputs, work: Workspace) -> Made:
        """Cut; write the network.

        Raises:
            EdgewrightError: when it cannot be cut.
        """
        from pipeline.data.dataset import rotating_samples
        from pipeline.models.files import load_network, save_network
        from pipeline.pruning.channel_groups import ChannelGroups
        from pipeline.pruning.residual_blocks import remove_blocks
        from pipeline.stages.start import network_facts
        from pipeline.training.batch_norm import reestimate_batch_norm
        from pipeline.training.images import TrainingImages

        subject = inputs.subject
        samples = rotating_samples(subject.train or subject.calibration, IMAGES)
        network = load_network(inputs.artifacts[ArtifactKind.NETWORK].root, subject.model)
        if self.before is not None:
            subject.task.shrunk(network, self.before, subject.preprocess.size)
        remove_blocks(network, self.blocks)
        if self.channels:
            images = TrainingImages(samples, subject.preprocess, work.progress, subject.task)
            cutter = ChannelGroups.of(network, subject, importance=self.importance, keep=self.keep)
            with cutter.judging(images, subject.task, seed=work.seed):
                cutter.cut(self.channels)
        few = TrainingImages(rotating_samples(samples, _STATISTICS_OF), subject.preprocess, work.progress, subject.task)
        reestimate_batch_norm(network, few, batch_size=128)
        save_network(network, subject.model, work.folder, classes=len(subject.classes))
        return Made(facts=network_facts(network, inputs))
