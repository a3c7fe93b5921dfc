"""The student learns from the teachers' answers as well as from the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from pipeline.artifact import ArtifactKind
from pipeline.stage import Made
from pipeline.training.schedule import Schedule

if TYPE_CHECKING:
    from pipeline.stage import Inputs, Workspace

__all__ = ["Distill"]


class Distill(BaseModel):
    """Distillation from one teacher or an ensemble into the network itself, starting where the baseline started."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str] = "distill"
    version: ClassVar[int] = 3
    takes: ClassVar[tuple[ArtifactKind, ...]] = ()
    gives: ClassVar[ArtifactKind] = ArtifactKind.NETWORK
    reads: ClassVar[tuple[str, ...]] = ("model", "weights", "train", "preprocess", "task")
    pins: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "timm", "lightning-fabric", "pillow")

    teachers: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="models to learn from, each trained on the data first where its weights do not fit it; "
        "default: two small networks, and no distillation where trained weights are given",
    )
    teacher_schedule: Schedule = Schedule()
    schedule: Schedule = Schedule(epochs=8)
    temperature: PositiveFloat = Field(default=4.0, description="softens the answers before they are compared")
    weight: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.7, description="share of the teachers in the loss; the labels have the rest"
    )

    def run(self, inputs: Inputs, work: Workspace) -> Made:
        """Train the student; write it.

        Raises:
            DataError: when there are no training images.
        """
        from pipeline.models.files import load_network, save_network
        from pipeline.stages.start import network_facts, starting_network
        from pipeline.training.images import TrainingImages
        from pipeline.training.loop import train
        from pipeline.training.teaching import taught_loss

        subject = inputs.subject
        start = starting_network(inputs, work)
        images = TrainingImages(subject.train, subject.preprocess, work.progress)
        teachers = [load_network(teacher.artifact.root, teacher.source) for teacher in inputs.teachers]
        loss = taught_loss(
            subject.task,
            start.network,
            teachers,
            images,
            self.schedule,
            weight=self.weight,
            temperature=self.temperature,
            progress=work.progress,
        )
        train(
            start.network,
            images,
            self.schedule,
            loss,
            seed=work.seed,
            progress=work.progress,
            description=f"distilling {subject.model.name}",
        )
        save_network(start.network, subject.model, work.folder, classes=len(subject.classes))
        names = " and ".join(teacher.source.name for teacher in inputs.teachers)
        return Made(facts=network_facts(start.network, inputs), notes=(f"learned from {names}",))
