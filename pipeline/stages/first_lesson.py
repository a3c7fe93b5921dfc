"""What a part of a network without weights learns before the whole network is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from pipeline.training.schedule import Schedule

if TYPE_CHECKING:
    from torch import nn

    from pipeline.artifact import Json
    from pipeline.stage import Inputs, Workspace
    from pipeline.tasks.lesson import Lesson
    from pipeline.training.images import TrainingImages

__all__ = ["FirstLesson"]


class FirstLesson(BaseModel):
    """Fields of a stage that trains from the start; see :meth:`pipeline.tasks.Task.lesson`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    objects_first: bool = Field(
        default=True,
        description="a detector whose backbone has random weights first learns to tell apart the objects of the "
        "training images, cut out one by one",
    )
    objects_schedule: Schedule | None = Field(default=None, description="how that is learned")

    def teach_first(
        self, network: nn.Module, images: TrainingImages, inputs: Inputs, work: Workspace
    ) -> tuple[tuple[Json, ...], tuple[str, ...]]:
        """Let a part of the network, in place, learn what its task has for it; the training's curve and notes.

        Args:
            network: Without weights, or with weights for all but its backbone.
            images: Of the training.
            inputs: Of the stage.
            work: Of the stage.
        """
        from pipeline.training.curve import curve_to_json
        from pipeline.training.images import TrainingImages
        from pipeline.training.loop import train
        from pipeline.training.own_loss import own_loss

        subject, name = inputs.subject, inputs.subject.model.name
        lesson = self._lesson(network, images, inputs, work)
        if lesson is None:
            return (), ()
        pictures = TrainingImages.of_pixels(lesson.pixels, lesson.labels, subject.preprocess, lesson.task)
        schedule = self.objects_schedule or Schedule.model_validate(subject.task.lesson_schedule)
        epochs = train(
            lesson.network,
            pictures,
            schedule,
            own_loss(lesson.task, lesson.network, pictures, smoothing=schedule.label_smoothing),
            seed=work.seed,
            progress=work.progress,
            description=f"a first lesson for {name}",
            kept=work.kept,
        )
        return (curve_to_json(f"{name}, first lesson", epochs),), (f"{name}: {lesson.told}",)

    def _lesson(self, network: nn.Module, images: TrainingImages, inputs: Inputs, work: Workspace) -> Lesson | None:
        """None where the backbone knows something; its random parts come from the seed."""
        import torch

        subject = inputs.subject
        if not self.objects_first or subject.weights.knows_backbone:
            return None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(work.seed)
            return subject.task.lesson(network, images, classes=len(subject.classes))
