"""Recovery: a network that lost channels or pixels learns to answer as it did before, from what it was before."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from pipeline.artifact import Json
    from pipeline.stage import Inputs, Workspace
    from pipeline.tasks.distillation.teaching import Teaching
    from pipeline.training.images import TrainingImages
    from pipeline.training.schedule import Schedule
    from pipeline.training.teacher_answers import TeacherAnswers
    from pipeline.training.validation import Validation

__all__ = ["Recovery", "asked_before"]


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
    from pipeline.training.logits import reader_of_logits
    from pipeline.training.teacher_answers import ask

    return ask(
        dense,
        reader_of_logits(inputs.subject.task, dense, images),
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
        section: How the earlier answers are learned from.
        schedule: Of each training.
        dense: The network as it was: losses on layers look inside.
        said: What it said, as of :func:`asked_before`.
        images: As the network is fed now.
        validation: As in ``train``.

    Attributes:
        curves: Of the trainings so far, for the facts.
    """

    def __init__(
        self,
        section: Teaching,
        schedule: Schedule,
        dense: nn.Module,
        said: TeacherAnswers,
        images: TrainingImages,
        validation: Validation | None,
    ) -> None:
        self._section, self._schedule = section, schedule.with_teachers()
        self._dense, self._said, self._images, self._validation = dense, said, images, validation
        self.curves: list[Json] = []

    def train(self, network: nn.Module, inputs: Inputs, work: Workspace, *, seed: int, how: str) -> None:
        """Train the network in place.

        Args:
            network: Fed with the images; ends in evaluation mode.
            inputs: Of the stage.
            work: Where the stage works.
            seed: Of the training.
            how: What was done to it, for people: ``pruned (1/2)``.
        """
        from pipeline.training.curve import curve_to_json
        from pipeline.training.feature_pairs import feature_losses
        from pipeline.training.loop import train
        from pipeline.training.teaching import TaughtLoss

        name, task = inputs.subject.model.name, inputs.subject.task
        features = feature_losses(self._section, network, lambda: [self._dense], self._images)
        loss = TaughtLoss(
            task,
            network,
            self._images,
            [self._said],
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
        self.curves.append(curve_to_json(f"{name}, {how}", epochs))
        if features is not None:
            features.release()
