"""Gradients of the loss on training images, for the ways to judge channels that look at them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from pipeline.pruning.frozen_layers import as_if_trained
from pipeline.pruning.importance.criteria import NEED_GRADIENTS
from pipeline.training.student_loss import LOOKED_AT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from pipeline.tasks import Task
    from pipeline.training.images import TrainingImages

__all__ = ["gradients_of"]

_IMAGES, _A_PASS = 512, 64


@contextmanager
def gradients_of(importance: str, network: nn.Module, images: TrainingImages, task: Task) -> Iterator[None]:
    """Within it the network holds the mean gradient of its loss where ``importance`` needs it; nothing is held after.

    Frozen layers hold theirs too; what the loss does not reach, an auxiliary classifier for instance, holds zeros.

    Args:
        importance: Its name.
        network: In evaluation mode, on the CPU, and left so.
        images: Of the training; some of them are looked at.
        task: Its loss.
    """
    if importance not in NEED_GRADIENTS:
        yield
        return
    read = task.reader(network, images.first(LOOKED_AT))
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:_IMAGES]
    network.zero_grad(set_to_none=True)
    with as_if_trained(network):
        for batch in images.batches(order, _A_PASS):
            loss = task.loss(read(task.answers(network, batch)), batch)
            loss.backward()  # type: ignore[no-untyped-call]
    for parameter in network.parameters():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    yield
    network.zero_grad(set_to_none=True)
