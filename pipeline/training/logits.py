"""Networks that answer with probabilities, read as logits where they are trained or teach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from pipeline.tasks import Task
    from pipeline.training.images import TrainingImages

__all__ = ["logarithm", "reader_of_logits"]

_IMAGES = 4


def reader_of_logits(task: Task, network: nn.Module, images: TrainingImages) -> Callable[[Tensor], Tensor]:
    """A function from the network's outputs to logits: the logarithm of probabilities, all else as it is.

    A loss on logits that is given probabilities teaches next to nothing: their softmax is nearly uniform. The softmax
    of their logarithm is they themselves, so nothing is lost, and the deployed network stays the user's.

    Args:
        task: Tells probabilities from logits.
        network: Asked about a few images in evaluation mode; it is left in that.
        images: Of the training.
    """
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    with torch.no_grad():
        outputs = network.eval()(images.first(_IMAGES).to(device))
    return logarithm if task.gives_probabilities([(row,) for row in outputs.cpu().numpy()]) else _as_they_are


def _as_they_are(outputs: Tensor) -> Tensor:
    return outputs


def logarithm(outputs: Tensor) -> Tensor:
    """Logits of probabilities: their softmax is they themselves."""
    return outputs.clamp(min=torch.finfo(outputs.dtype).tiny).log()
