"""The loss of a student: the labels' part and the teachers' part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pipeline.training.logits import reader_of_logits
from pipeline.training.loop import answers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from pipeline.progress import Progress
    from pipeline.tasks import Task
    from pipeline.training.images import TrainingImages
    from pipeline.training.loop import Batch, BatchLoss
    from pipeline.training.schedule import Schedule

__all__ = ["taught_loss"]


def taught_loss(  # noqa: PLR0913 - as train
    task: Task,
    student: nn.Module,
    teachers: Sequence[nn.Module],
    images: TrainingImages,
    schedule: Schedule,
    *,
    weight: float,
    temperature: float,
    progress: Progress,
) -> BatchLoss:
    """The loss ``(1 - weight) * labels + weight * teachers`` of a student; probabilities are read as logits.

    Without augmentation a teacher's answer to an image never changes: it is asked once for every image. With
    augmentation it is asked for what the student sees.
    """
    read = reader_of_logits(task, student, images)
    readers = [reader_of_logits(task, teacher, images) for teacher in teachers]
    known = (
        None
        if schedule.augment
        else [answers(teacher, images, batch_size=4 * schedule.batch_size, progress=progress) for teacher in teachers]
    )

    def loss(outputs: Tensor, batch: Batch) -> Tensor:
        if known is None:
            with torch.no_grad():
                said = [teacher.to(batch.inputs.device).eval()(batch.inputs) for teacher in teachers]
        else:
            said = [rows[batch.indices.cpu()].to(outputs.device) for rows in known]
        said = [reader(rows) for reader, rows in zip(readers, said, strict=True)]
        logits = read(outputs)
        labels = task.loss(logits, batch.labels)
        taught = task.distillation_loss(logits, said, temperature=temperature)
        return (1 - weight) * labels + weight * taught

    return loss
