"""Recovery: a network that lost channels or pixels learns to answer as it did before, from what it was before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from pipeline.data.dataset import rotating_samples
from pipeline.tasks.distillation.teaching import Teaching
from pipeline.training.schedule import Schedule

if TYPE_CHECKING:
    from torch import nn

    from pipeline.artifact import Json
    from pipeline.stage import Inputs, Workspace
    from pipeline.training.images import TrainingImages
    from pipeline.training.teacher_answers import TeacherAnswers
    from pipeline.training.validation import Validation

__all__ = ["Recovering", "Recovery", "asked_before"]

_JUDGED_ON = 512
"""Images that tell how far a recovery came."""


class Recovering(Teaching):
    """How a stage lets a network recover from what it took away."""

    teachers: Literal["itself", "all"] = Field(
        default="itself",
        description="learned from is the network as it was before, or it and the teachers of distill ('all')",
    )
    schedule: Schedule = Schedule()


def asked_before(
    dense: nn.Module, images: TrainingImages, schedule: Schedule, inputs: Inputs, work: Workspace
) -> TeacherAnswers:
    """What the network said of every view while it had everything.

    Args:
        dense: As it was.
        images: As it was fed.
        schedule: Of the recovery, which says how many views there are.
        inputs: Of the stage.
        work: Where the stage works.
    """
    from pipeline.training.teacher_answers import ask
    from pipeline.training.teaching import LOOKED_AT

    return ask(
        dense,
        inputs.subject.task.reader(dense, images.first(LOOKED_AT)),
        images,
        views=schedule.asked_views,
        augment=schedule.augment,
        batch_size=4 * schedule.batch_size,
        precision=schedule.precision,
        progress=work.progress,
        kept=work.kept,
    )


class Recovery:
    """One or several trainings of a network that answers worse than it did.

    Args:
        section: How, and from whom.
        dense: The network as it was: losses on layers look inside.
        said: What it said, as of :func:`asked_before`.
        images: As the network is fed now.
        inputs: Of the stage, as the network is fed now.
        work: Where the stage works.

    Attributes:
        curves: Of the trainings so far, for the facts.
        notes: What each of them won back.
    """

    def __init__(
        self,
        section: Recovering,
        dense: nn.Module,
        said: TeacherAnswers,
        images: TrainingImages,
        inputs: Inputs,
        work: Workspace,
    ) -> None:
        from pipeline.training.teacher_answers import TeacherAnswers
        from pipeline.training.validation import Validation

        self._section, self._schedule = section, section.schedule.with_teachers()
        self._dense, self._images, self._inputs, self._work = dense, images, inputs, work
        self._said = [said, *(TeacherAnswers.load(teacher.answers.root) for teacher in inputs.teachers)]
        self._validation = Validation.of(inputs.subject, work.progress)
        self._judge, self._judged_on = _judge(inputs, work, self._validation)
        self.curves: list[Json] = []
        self.notes: list[str] = []

    def train(self, network: nn.Module, *, seed: int, how: str) -> None:
        """Train the network in place.

        Args:
            network: Fed with the images; ends in evaluation mode.
            seed: Of the training.
            how: What was done to it, for people: ``pruned (1/2)``.
        """
        from pipeline.training.curve import curve_to_json
        from pipeline.training.feature_pairs import feature_losses
        from pipeline.training.loop import train
        from pipeline.training.teaching import TaughtLoss

        subject, work = self._inputs.subject, self._work
        name = subject.model.name
        before = self._judge.score(network)
        features = feature_losses(self._section, network, lambda: [self._dense], self._images)
        loss = TaughtLoss(
            subject.task,
            network,
            self._images,
            self._said,
            self._section,
            smoothing=self._schedule.label_smoothing,
            features=features,
        )
        epochs = train(
            network,
            self._images,
            self._schedule,
            loss,
            seed=seed,
            progress=work.progress,
            description=f"recovering {name}, {how}",
            kept=work.kept,
            validation=self._validation,
        )
        if features is not None:
            features.release()
        after = self._judge.score(network)
        self.curves.append(curve_to_json(f"{name}, {how}", epochs))
        self.notes.append(
            f"{how}: {100 * before:.1f} % {subject.task.metric} before recovery, {100 * after:.1f} % after it, on "
            f"{self._judged_on}"
        )


def _judge(inputs: Inputs, work: Workspace, held_back: Validation | None) -> tuple[Validation, str]:
    """What scores a network on a few images, and which these are: held back where any are.

    Args:
        inputs: Of the stage.
        work: Where the stage works.
        held_back: Of all images that are; serves where they are few, so that none is decoded twice.
    """
    from pipeline.training.validation import Validation

    subject = inputs.subject
    held = rotating_samples(subject.validation, _JUDGED_ON)
    samples = held or rotating_samples(subject.train, _JUDGED_ON)
    told = f"{len(samples)} {'held-back' if held else 'training'} images"
    if held_back is not None and samples == subject.validation:
        return held_back, told
    return Validation(samples, subject.preprocess, subject.task, work.progress), told
