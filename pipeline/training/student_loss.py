"""The loss of a student: the labels' part and the teachers' part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from pipeline.tasks import Task
    from pipeline.tasks.distillation.teaching import Teaching
    from pipeline.training.cached_answers import TeacherAnswers
    from pipeline.training.images import Batch, TrainingImages
    from pipeline.training.inside_losses import InsideLosses

__all__ = ["LOOKED_AT", "TaughtLoss"]

LOOKED_AT = 4
"""Images by which it is seen what a network answers with."""


class TaughtLoss(nn.Module):
    """``(1 - weight) * labels + weight * teachers`` of a student; probabilities are read as logits.

    Args:
        task: Its losses.
        student: Is looked at once, to see what it answers with.
        images: Of the training.
        answers: What each teacher says of every view; not read where nothing is compared with it.
        teaching: Which losses, and how strongly.
        smoothing: Of the labels.
        inside: What is compared inside the networks, where that is asked for.
    """

    def __init__(  # noqa: PLR0913 - as train
        self,
        task: Task,
        student: nn.Module,
        images: TrainingImages,
        answers: Sequence[TeacherAnswers],
        teaching: Teaching,
        *,
        smoothing: float = 0.0,
        inside: InsideLosses | None = None,
    ) -> None:
        super().__init__()
        self._task, self._answers, self._teaching, self._smoothing = task, answers, teaching, smoothing
        self._read = task.reader(student, images.first(LOOKED_AT))
        self.inside = inside

    def forward(self, outputs: Any, batch: Batch) -> Tensor:  # noqa: ANN401 - as of the task
        """A scalar for what the student answers (classification: (batch, classes))."""
        value = self.of_answer(outputs, batch)
        return value if self.inside is None else value + self._teaching.weight * self.inside(batch)

    def of_answer(self, outputs: Any, batch: Batch) -> Tensor:  # noqa: ANN401 - as of the task
        """The same without what is compared inside the networks, which there is once, however many heads answer."""
        answered = self._read(outputs)
        labels = self._task.loss(answered, batch, smoothing=self._smoothing)
        if not self._teaching.compares_answers:
            return (1 - self._teaching.weight) * labels
        said = [answers.said(batch.indices, batch.view) for answers in self._answers]
        taught = self._task.distillation_loss(answered, said, batch, self._teaching)
        return (1 - self._teaching.weight) * labels + self._teaching.weight * taught
