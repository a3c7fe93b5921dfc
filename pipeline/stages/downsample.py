"""The network learns to do with fewer places: of smaller images, or behind a stem that strides further.

What an inference costs falls with the square of the sides of its maps.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from pipeline.artifact import ArtifactKind
from pipeline.errors import UsageError
from pipeline.stage import Made
from pipeline.stages.recovery import Recovering
from pipeline.training.schedule import Schedule

if TYPE_CHECKING:
    from torch import nn

    from pipeline.artifact import Json
    from pipeline.stage import Inputs, Workspace
    from pipeline.training.images import TrainingImages

__all__ = ["Downsample"]


class Downsample(Recovering):
    """A smaller input or smaller maps, to which a trained network is tuned, taught by what it answered before.

    A network has to be tuned to the size it is used at: the same object fills another part of its receptive fields, and
    its activations have other statistics. Touvron et al., "Fixing the train-test resolution discrepancy", 2019
    (arXiv:1906.06423). Without training images the statistics of its batch norms are all that is tuned.
    """

    name: ClassVar[str] = "downsample"
    version: ClassVar[int] = 9
    takes: ClassVar[tuple[ArtifactKind, ...]] = (ArtifactKind.NETWORK,)
    gives: ClassVar[ArtifactKind] = ArtifactKind.NETWORK
    reads: ClassVar[tuple[str, ...]] = ("model", "train", "validation", "calibration", "preprocess", "task")
    pins: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "timm", "lightning-fabric", "pillow")

    size: PositiveInt | tuple[PositiveInt, PositiveInt] | Literal["auto"] | None = Field(
        default=None,
        description="pixels of the smaller input: one side, or [height, width]; 'auto': what a goal leaves; default: "
        "'auto' where a goal asks for less latency, multiplications or memory and no input.size is given, else images "
        "stay as large as they are",
    )
    mixed_sizes: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="fraction of the steps whose images are as large as they were before"
    )
    stem: Literal["earlier", "doubled"] | None = Field(
        default=None,
        description="the first convolution strides further, and images stay as large as they are unless size is given: "
        "'earlier': in place of the next layer that strides, so that maps behind that are as large as before; "
        "'doubled': all maps have half their sides",
    )
    schedule: Schedule = Schedule(epochs=5)

    @property
    def acts(self) -> bool:
        """Whether there is anything to do for it, now or when a goal has decided."""
        return self.size is not None or self.stem is not None

    @property
    def height_and_width(self) -> tuple[int, int] | None:
        """Of the smaller input; None where nobody said, or a goal has yet to decide."""
        if isinstance(self.size, int):
            return self.size, self.size
        return None if self.size == "auto" else self.size

    def smaller_than(self, before: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the smaller input.

        Args:
            before: Of the input as it is.

        Raises:
            UsageError: when it is no smaller.
        """
        size = self.height_and_width
        if size is None or size == before or size[0] > before[0] or size[1] > before[1]:
            raise UsageError(
                "downsampling makes images smaller",
                where="downsample.size",
                got=str(self.size) if size is None else "x".join(map(str, size)),
                expected=f"less than {'x'.join(map(str, before))}",
            )
        return size

    def run(self, inputs: Inputs, work: Workspace) -> Made:
        """Tune; write the network.

        Raises:
            UsageError: when the images are no larger than that already, or the stem cannot stride further.
            DataError: when there are too few images to tune the network by.
        """
        from pipeline.models.files import load_network, save_network
        from pipeline.pruning.stem_stride import stride_further
        from pipeline.stages.start import network_facts

        subject = inputs.subject
        before = subject.preprocess.size
        size = self.smaller_than(before) if self.size is not None or self.stem is None else before
        smaller = replace(inputs, subject=subject.at(size))
        network = load_network(inputs.artifacts[ArtifactKind.NETWORK].root, subject.model)
        told = []
        if size != before:
            subject.task.shrunk(network, before, size)
            told.append(f"input {'x'.join(map(str, before))} -> {'x'.join(map(str, size))}")
        if self.stem is not None:
            told.append(stride_further(network, smaller.subject.preprocess.shape, self.stem))
        if subject.train:
            curves, notes = self._trained(network, inputs, smaller, work)
        else:
            curves, notes = _refreshed(network, smaller, work)
        save_network(network, subject.model, work.folder, classes=len(subject.classes))
        return Made(facts=network_facts(network, smaller, curves), notes=(*told, *notes))

    def _trained(
        self, network: nn.Module, inputs: Inputs, smaller: Inputs, work: Workspace
    ) -> tuple[list[Json], list[str]]:
        """Train, taught by what the network said of the images before where that can teach."""
        from pipeline.models.files import load_network
        from pipeline.stages.recovery import Recovery, asked_before
        from pipeline.training.images import TrainingImages
        from pipeline.training.mixed_sizes import MixedSizes

        subject = inputs.subject
        dense = load_network(inputs.artifacts[ArtifactKind.NETWORK].root, subject.model)

        def seen_by(one: Inputs) -> TrainingImages:
            return TrainingImages(subject.train, one.subject.preprocess, work.progress, subject.task)

        images, same = seen_by(smaller), smaller.subject.preprocess == subject.preprocess
        before = images if same else seen_by(inputs) if self.mixed_sizes else None
        said = asked_before(dense, lambda: before or seen_by(inputs), self, inputs, work)
        mixed = MixedSizes(own=images, other=before, share=self.mixed_sizes) if before and not same else None
        recovery = Recovery(self, dense, said, images, smaller, work)
        recovery.train(network, seed=work.seed, how="downsampled", mixed=mixed)
        return recovery.curves, recovery.notes


def _refreshed(network: nn.Module, smaller: Inputs, work: Workspace) -> tuple[list[Json], list[str]]:
    """Measure the batch norms' statistics anew, on the calibration images."""
    from pipeline.training.batch_norm import reestimate_batch_norm
    from pipeline.training.images import TrainingImages

    subject = smaller.subject
    images = TrainingImages(subject.calibration, subject.preprocess, work.progress, subject.task)
    if not reestimate_batch_norm(network, images, batch_size=128):
        return [], ["nothing was tuned: there are no images to train on, and no batch norms to measure anew"]
    return [], [f"batch norms measured anew on {len(images)} calibration images: there are none to train on"]
