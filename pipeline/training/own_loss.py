"""A network's own loss: that of the labels alone, without any teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.training.student_loss import LOOKED_AT

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pipeline.tasks import Task
    from pipeline.training.images import Batch, TrainingImages
    from pipeline.training.loop import BatchLoss

__all__ = ["own_loss"]


def own_loss(task: Task, network: nn.Module, images: TrainingImages, *, smoothing: float = 0.0) -> BatchLoss:
    """The task's loss of what the network answers.

    Args:
        task: Its loss.
        network: Is looked at once, to see what it answers with.
        images: Of the training.
        smoothing: Of the labels.
    """
    read = task.reader(network, images.first(LOOKED_AT))

    def loss(outputs: Any, batch: Batch) -> Tensor:  # noqa: ANN401 - as of the task
        return task.loss(read(outputs), batch, smoothing=smoothing)

    return loss
