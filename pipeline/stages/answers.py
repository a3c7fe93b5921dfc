"""What a teacher says of the training images, asked once for all students and all runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from pipeline.artifact import ArtifactKind
from pipeline.stage import Made
from pipeline.training.schedule import Augmentation  # noqa: TC001 - pydantic reads annotations

if TYPE_CHECKING:
    from pipeline.stage import Inputs, Workspace

__all__ = ["AskTeacher", "TakeAnswers"]


class AskTeacher(BaseModel):
    """A teacher's answers to every view of every training image; of none where nothing is compared with them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str] = "answers"
    version: ClassVar[int] = 7
    takes: ClassVar[tuple[ArtifactKind, ...]] = (ArtifactKind.NETWORK,)
    gives: ClassVar[ArtifactKind] = ArtifactKind.ANSWERS
    reads: ClassVar[tuple[str, ...]] = ("model", "train", "preprocess", "task")
    pins: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "timm", "lightning-fabric", "pillow")

    views: NonNegativeInt
    augment: tuple[Augmentation, ...] = ()

    def run(self, inputs: Inputs, work: Workspace) -> Made:
        """Ask; write the answers.

        Raises:
            DataError: when there are no training images.
        """
        import torch

        from pipeline.models.files import load_network
        from pipeline.training.cached_answers import TeacherAnswers, ask
        from pipeline.training.images import TrainingImages
        from pipeline.training.student_loss import LOOKED_AT

        subject = inputs.subject
        images = TrainingImages(subject.train, subject.preprocess, work.progress, subject.task)
        network = load_network(inputs.artifacts[ArtifactKind.NETWORK].root, subject.model)
        looked_at = images.first(LOOKED_AT)
        with torch.no_grad():
            told = subject.task.told_with(subject.task.outputs_of(network.eval(), looked_at))
        if self.views:
            answers = ask(
                network,
                subject.task.reader(network, looked_at),
                images,
                views=self.views,
                augment=self.augment,
                progress=work.progress,
                kept=work.kept,
            )
        else:
            answers = TeacherAnswers({})
        answers.save(work.folder)
        return Made(
            facts={
                "images": len(images),
                "views": self.views,
                "classes": len(subject.classes),
                "answers": told,
            }
        )


class TakeAnswers(BaseModel):
    """Answers that a teacher's owner wrote down, to the images as they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str] = "answers"
    version: ClassVar[int] = 6
    takes: ClassVar[tuple[ArtifactKind, ...]] = ()
    gives: ClassVar[ArtifactKind] = ArtifactKind.ANSWERS
    reads: ClassVar[tuple[str, ...]] = ("train", "preprocess", "task")
    pins: ClassVar[tuple[str, ...]] = ("torch", "safetensors")

    file: Path = Field(exclude=True)
    file_sha256: str

    def run(self, inputs: Inputs, work: Workspace) -> Made:
        """Find every training image in the file; write the answers.

        Raises:
            WeightsError: when it is no file of answers, of another task, about other parts of the images where places
                count, or another than when the run began.
            DataError: when it says nothing of an image or a class.
        """
        from pipeline.models.file_damage import refuse_another
        from pipeline.training.answers_file import read_shared

        subject = inputs.subject
        shared = read_shared(self.file)
        refuse_another(self.file, self.file_sha256)
        answers = shared.about(subject.train, subject.classes, subject.task, subject.preprocess)
        answers.save(work.folder)
        return Made(facts={"images": len(subject.train), "views": 1, "classes": len(subject.classes)})
