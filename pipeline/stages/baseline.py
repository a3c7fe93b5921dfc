"""The network as a user without this tool would have it: the yardstick of every later stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from pipeline.artifact import ArtifactKind
from pipeline.stage import Made
from pipeline.stages.first_lesson import FirstLesson
from pipeline.training.schedule import Schedule

if TYPE_CHECKING:
    from pipeline.artifact import Json
    from pipeline.stage import Inputs, Workspace

__all__ = ["Baseline"]


class Baseline(FirstLesson):
    """Given or pretrained weights as they are; where they do not answer for the classes, plain training on the data.

    Also makes the teachers of an ensemble: a teacher is another network's baseline.
    """

    name: ClassVar[str] = "baseline"
    version: ClassVar[int] = 12
    takes: ClassVar[tuple[ArtifactKind, ...]] = ()
    gives: ClassVar[ArtifactKind] = ArtifactKind.NETWORK
    reads: ClassVar[tuple[str, ...]] = ("model", "weights", "train", "validation", "preprocess", "task")
    pins: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "timm", "lightning-fabric", "pillow")

    schedule: Schedule | None = Field(
        default=None, description="default: the steps that distill gives the same network, without its teachers"
    )

    def run(self, inputs: Inputs, work: Workspace) -> Made:
        """Load, or train; write the network.

        Raises:
            WeightsError: when given weights do not fit.
            DataError: when training is needed and there are no training images.
        """
        from pipeline.models.files import save_network
        from pipeline.stages.start import network_facts, starting_network
        from pipeline.training.curve import curve_to_json
        from pipeline.training.images import TrainingImages
        from pipeline.training.loop import train
        from pipeline.training.own_loss import own_loss
        from pipeline.training.validation import Validation

        subject = inputs.subject
        start = starting_network(inputs, work)
        notes = start.notes
        training: tuple[Json, ...] = ()
        if not start.trained:
            name, network = subject.model.name, start.network
            images = TrainingImages(subject.train, subject.preprocess, work.progress, subject.task)
            doubt = subject.task.doubt(network, images, subject.preprocess)
            if doubt is not None:
                work.progress.note(f"{name}: {doubt}")
                notes += (f"{name}: {doubt}",)
            lesson, told = self.teach_first(network, images, inputs, work)
            schedule = self.schedule or Schedule()
            epochs = train(
                network,
                images,
                schedule,
                own_loss(subject.task, network, images, smoothing=schedule.label_smoothing),
                seed=work.seed,
                progress=work.progress,
                description=f"training {name}",
                kept=work.kept,
                validation=Validation.of(subject, work.progress),
            )
            training = (*lesson, curve_to_json(name, epochs))
            notes += (*told, f"{name}: trained for {len(epochs)} epochs on the data")
        save_network(start.network, subject.model, work.folder, classes=len(subject.classes))
        return Made(facts=network_facts(start.network, inputs, training), notes=notes)
