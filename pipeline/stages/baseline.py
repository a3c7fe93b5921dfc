"""The network as a user without this tool would have it: the yardstick of every later stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from pipeline.artifact import ArtifactKind
from pipeline.stage import Made
from pipeline.training.schedule import Schedule

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.artifact import Json
    from pipeline.stage import Inputs, Workspace
    from pipeline.training.images import Batch

__all__ = ["Baseline"]


class Baseline(BaseModel):
    """Given or pretrained weights as they are; where they do not answer for the classes, plain training on the data.

    Also makes the teachers of an ensemble: a teacher is another network's baseline.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str] = "baseline"
    version: ClassVar[int] = 5
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
        from pipeline.training.teaching import LOOKED_AT
        from pipeline.training.validation import Validation

        subject = inputs.subject
        start = starting_network(inputs, work)
        notes = start.notes
        training: tuple[Json, ...] = ()
        if not start.trained:
            schedule = self.schedule or Schedule()
            images = TrainingImages(subject.train, subject.preprocess, work.progress, subject.task)
            read = subject.task.reader(start.network, images.first(LOOKED_AT))

            def loss(outputs: Any, batch: Batch) -> Tensor:  # noqa: ANN401 - as of the task
                return subject.task.loss(read(outputs), batch, smoothing=schedule.label_smoothing)

            epochs = train(
                start.network,
                images,
                schedule,
                loss,
                seed=work.seed,
                progress=work.progress,
                description=f"training {subject.model.name}",
                kept=work.kept,
                validation=Validation.of(subject, work.progress),
            )
            training = (curve_to_json(subject.model.name, epochs),)
            notes = (*notes, f"{subject.model.name}: trained for {len(epochs)} epochs on the data")
        save_network(start.network, subject.model, work.folder, classes=len(subject.classes))
        return Made(facts=network_facts(start.network, inputs, training), notes=notes)
