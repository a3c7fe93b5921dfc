"""What a network answers in training, asked of one that does not train."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

__all__ = ["answering_as_in_training"]


@contextmanager
def answering_as_in_training(network: nn.Module) -> Iterator[None]:
    """Within it a network gives all that it gives in training: auxiliary classifiers' answers, a detector's losses.

    Only modules that hold others are told that they train, since it is they who decide what is answered; a batch norm
    (also one that holds its activation) or a dropout goes on as in evaluation. The network is in eval mode afterwards.

    Args:
        network: Or a module of it.
    """
    for module in network.modules():
        module.training = next(module.children(), None) is not None and not isinstance(module, _BatchNorm)
    try:
        yield
    finally:
        network.eval()
