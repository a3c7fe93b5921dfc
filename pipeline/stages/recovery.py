"""Recovery: a network that lost channels or pixels learns to answer as it did before.

It learns from what it was before, where its task's answers can teach; a detector learns from its own loss alone.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from pipeline.data.dataset import judged_samples
from pipeline.tasks.distillation.teaching import Teaching
from pipeline.training.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from pipeline.artifact import Json
    from pipeline.stage import Inputs, Workspace
    from pipeline.training.cached_answers import TeacherAnswers
    from pipeline.training.images import TrainingImages
    from pipeline.training.loop import BatchLoss
    from pipeline.training.mixed_sizes import MixedSizes
    from pipeline.training.validation import Validation

__all__ = ["Recovering", "Recovery", "asked_before"]

_JUDGED_ON = 512
"""Images that tell how far a recovery came."""
_WORSE = 0.01
"""By so much less than before it a recovery did harm: what learned least is undone, not what five images decide."""


class Recovering(Teaching):
    """How a stage lets a network recover from what it took away."""

    teachers: Literal["itself", "all"] = Field(
        default="itself",
        description="learned from is the network as it was before, or it and the teachers of distill ('all')",
    )
    schedule: Schedule = Schedule()


def asked_before(
    dense: nn.Module, seen: Callable[[], TrainingImages], section: Recovering, inputs: Inputs, work: Workspace
) -> TeacherAnswers | None:
    """What the network said of every view while it had everything, of none where no loss compares that.

    None where it is nothing to learn from.

    Args:
        dense: As it was.
        seen: Gives the images as it was fed; not called where nothing is asked.
        section: Of the recovery, whose schedule says how many views there are.
        inputs: Of the stage.
        work: Where the stage works.
    """
    from pipeline.training.cached_answers import TeacherAnswers, ask
    from pipeline.training.student_loss import LOOKED_AT

    if not inputs.subject.task.answers_teach:
        return None
    if not section.compares_answers:
        return TeacherAnswers({})
    images, schedule = seen(), section.schedule
    return ask(
        dense,
        inputs.subject.task.reader(dense, images.first(LOOKED_AT)),
        images,
        views=schedule.asked_views,
        augment=schedule.augment,
        batch_size=4 * schedule.batch_size,
        progress=work.progress,
        kept=work.kept,
    )


class Recovery:
    """One or several trainings of a network that answers worse than it did.

    Args:
        section: How, and from whom.
        dense: The network as it was: losses on layers look inside.
        said: What it said, as of :func:`asked_before`; None: its own loss is all that it learns from.
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
        said: TeacherAnswers | None,
        images: TrainingImages,
        inputs: Inputs,
        work: Workspace,
    ) -> None:
        from pipeline.training.cached_answers import TeacherAnswers
        from pipeline.training.optimizer import peak_rate
        from pipeline.training.validation import Validation

        self._section = section
        others = [TeacherAnswers.load(teacher.answers.root) for teacher in inputs.teachers]
        self._said = None if said is None else [said, *others]
        asked = said is not None and section.compares_answers
        schedule = section.schedule.with_teachers() if asked else section.schedule
        # What the whole network bears: with half of its channels it may have too few inputs to be told from others.
        self._schedule = schedule.model_copy(update={"learning_rate": peak_rate(dense, schedule)})
        self._dense, self._images, self._inputs, self._work = dense, images, inputs, work
        self._validation = Validation.of(inputs.subject, work.progress)
        self._judge, self._judged_on = _judge(inputs, work, self._validation)
        self.curves: list[Json] = []
        self.notes: list[str] = []

    def train(self, network: nn.Module, *, seed: int, how: str, mixed: MixedSizes | None = None) -> None:
        """Train the network in place; one that got worse by it is left as it was, and the note says so.

        Args:
            network: Fed with the images; ends in evaluation mode.
            seed: Of the training.
            how: What was done to it, for people: ``pruned (1/2)``.
            mixed: The images as they are met, where some of them are of another size.
        """
        from pipeline.training.curve import curve_to_json
        from pipeline.training.loop import train

        subject, work = self._inputs.subject, self._work
        name = subject.model.name
        before = self._judge.score(network)
        cut = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        with self._loss(network) as loss:
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
                mixed=mixed,
            )
        after = self._judge.score(network)
        worse = ""
        if after < before - _WORSE:
            network.load_state_dict(cut)
            worse = "; it stays as it was before, which was better"
        self.curves.append(curve_to_json(f"{name}, {how}", epochs))
        self.notes.append(
            f"{how}: {100 * before:.1f} % {subject.task.metric} before recovery, {100 * after:.1f} % after it, on "
            f"{self._judged_on}{worse}"
        )

    @contextmanager
    def _loss(self, network: nn.Module) -> Iterator[BatchLoss]:
        """What the network learns from; within it layers may be watched."""
        from pipeline.training.inside_losses import inside_losses
        from pipeline.training.own_loss import own_loss
        from pipeline.training.student_loss import TaughtLoss

        task, smoothing = self._inputs.subject.task, self._schedule.label_smoothing
        if self._said is None:
            yield own_loss(task, network, self._images, smoothing=smoothing)
            return
        inside = inside_losses(self._section, network, lambda: [self._dense], self._images)
        try:
            yield TaughtLoss(task, network, self._images, self._said, self._section, smoothing=smoothing, inside=inside)
        finally:
            if inside is not None:
                inside.release()


def _judge(inputs: Inputs, work: Workspace, held_back: Validation | None) -> tuple[Validation, str]:
    """What scores a network on a few images, and which these are: held back where any are.

    Args:
        inputs: Of the stage.
        work: Where the stage works.
        held_back: Of all images that are; serves where they are few, so that none is decoded twice.
    """
    from pipeline.training.validation import Validation

    subject = inputs.subject
    held = judged_samples(subject.validation, _JUDGED_ON)
    samples = held or judged_samples(subject.train, _JUDGED_ON)
    told = f"{len(samples)} {'held-back' if held else 'training'} images"
    if held_back is not None and samples == subject.validation:
        return held_back, told
    return Validation(samples, subject.preprocess, subject.task, work.progress), told
