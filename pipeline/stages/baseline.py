"""The network as a user without this tool would have it: the yardstick of every later stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from pipeline.artifact import ArtifactKind
from pipeline.stage import Made
from pipeline.training.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from pipeline.artifact import Json
    from pipeline.stage import Inputs, Workspace
    from pipeline.tasks import Task
    from pipeline.tasks.lesson import Lesson
    from pipeline.training.curve import Epoch
    from pipeline.training.images import Batch, TrainingImages
    from pipeline.training.validation import Validation

__all__ = ["Baseline"]


class Baseline(BaseModel):
    """Given or pretrained weights as they are; where they do not answer for the classes, plain training on the data.

    Also makes the teachers of an ensemble: a teacher is another network's baseline.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str] = "baseline"
    version: ClassVar[int] = 6
    takes: ClassVar[tuple[ArtifactKind, ...]] = ()
    gives: ClassVar[ArtifactKind] = ArtifactKind.NETWORK
    reads: ClassVar[tuple[str, ...]] = ("model", "weights", "train", "validation", "preprocess", "task")
    pins: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "timm", "lightning-fabric", "pillow")

    schedule: Schedule | None = Field(
        default=None, description="default: the steps that distill gives the same network, without its teachers"
    )
    objects_first: bool = Field(
        default=True,
        description="a detector whose backbone has random weights first learns to tell apart the objects of the "
        "training images, cut out one by one",
    )
    objects_schedule: Schedule | None = Field(default=None, description="how that is learned")

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
            lesson = self._lesson(network, images, inputs, work)
            if lesson is not None:
                pictures = TrainingImages.of_pixels(lesson.pixels, lesson.labels, subject.preprocess, lesson.task)
                schedule = self.objects_schedule or Schedule.model_validate(subject.task.lesson_schedule)
                learned = _trained(lesson.network, pictures, lesson.task, schedule, work, f"a first lesson for {name}")
                training += (curve_to_json(f"{name}, first lesson", learned),)
                notes += (f"{name}: {lesson.told}",)
            validation = Validation.of(subject, work.progress)
            schedule = self.schedule or Schedule()
            epochs = _trained(network, images, subject.task, schedule, work, f"training {name}", validation=validation)
            training += (curve_to_json(name, epochs),)
            notes += (f"{name}: trained for {len(epochs)} epochs on the data",)
        save_network(start.network, subject.model, work.folder, classes=len(subject.classes))
        return Made(facts=network_facts(start.network, inputs, training), notes=notes)

    def _lesson(self, network: nn.Module, images: TrainingImages, inputs: Inputs, work: Workspace) -> Lesson | None:
        """What a part of the network learns first; its random parts come from the seed."""
        import torch

        subject = inputs.subject
        if not self.objects_first or subject.weights.knows_backbone:
            return None
        with torch.random.fork_rng():
            torch.manual_seed(work.seed)
            return subject.task.lesson(network, images, classes=len(subject.classes))


def _trained(  # noqa: PLR0913 - as train
    network: nn.Module,
    images: TrainingImages,
    task: Task,
    schedule: Schedule,
    work: Workspace,
    description: str,
    *,
    validation: Validation | None = None,
) -> Sequence[Epoch]:
    """Train a network in place by its task's loss; what each epoch came to."""
    from pipeline.training.loop import train
    from pipeline.training.teaching import LOOKED_AT

    read = task.reader(network, images.first(LOOKED_AT))

    def loss(outputs: Any, batch: Batch) -> Tensor:  # noqa: ANN401 - as of the task
        return task.loss(read(outputs), batch, smoothing=schedule.label_smoothing)

    return train(
        network,
        images,
        schedule,
        loss,
        seed=work.seed,
        progress=work.progress,
        description=description,
        kept=work.kept,
        validation=validation,
    )
