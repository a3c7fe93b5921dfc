"""Whether a network is fed what it was trained with: its first batch normalisation remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from pipeline.session import Array

__all__ = ["normalisation_doubt"]

_SHIFT = 0.8
_SPREAD = 3.0
"""All channels together, weighted by their variance: one dead channel then says nothing.

Seen on three networks with real weights (MobileNet V1 and V2, a ResNet-20) and their own images. Rightly fed: means off
by 0.16 to 0.19 deviations, variances 0.68 to 1.7 times those of the training. Channels swapped: no more than that, so
this cannot see it. Without a normalisation: 0.3 to 1.1, or 0.05 to 0.45 times; with another network's: 0.14 times, or
4.6 to 8.5; without the division by 255: means off by 57 and more.
"""


def normalisation_doubt(network: nn.Module, images: Sequence[Array]) -> str | None:
    """A sentence when the first batch normalisation meets other values than in its training, else None.

    A training that ends by estimating its batch normalisations anew leaves ones that remember how it was fed, rightly
    or not: ask before any.

    Args:
        network: In evaluation mode, with the weights that were given.
        images: Prepared inputs, each (1, channels, height, width); at least one.
    """
    import torch
    from torch import nn

    norms = [
        module for module in network.modules() if isinstance(module, nn.BatchNorm2d) and module.track_running_stats
    ]
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    first: nn.BatchNorm2d | None = None
    hooks = [module.register_forward_pre_hook(_stop) for module in norms]
    try:
        with torch.inference_mode():
            for image in images if norms else ():
                try:
                    network(torch.from_numpy(image))
                except _MetError as met:
                    first, values = met.norm, met.values
                    count += values[0].numel()
                    total = total + values.sum(dim=1)
                    squares = squares + values.square().sum(dim=1)
    finally:
        for hook in hooks:
            hook.remove()
    if first is None:
        return None
    return _told(first, total / count, squares / count)


class _MetError(Exception):
    """The first batch normalisation was met: what comes behind it need not be computed.

    Attributes:
        norm: It.
        values: What came to it, float64: (channels, all of a batch's places).
    """

    def __init__(self, norm: nn.BatchNorm2d, values: Tensor) -> None:
        super().__init__()
        self.norm, self.values = norm, values


def _stop(norm: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
    raise _MetError(norm, inputs[0].double().transpose(0, 1).flatten(1))


def _told(trained: nn.BatchNorm2d, mean: Tensor, square: Tensor) -> str | None:
    """The sentence for means of the values and of their squares, each (channels,)."""
    assert trained.running_mean is not None  # noqa: S101 - only those that remember are asked
    assert trained.running_var is not None  # noqa: S101 - as above
    variance = trained.running_var + trained.eps
    shift = float(((mean - trained.running_mean).square().sum() / variance.sum()).sqrt())
    spread = float((square - mean.square()).sum() / variance.sum())
    if shift <= _SHIFT and 1 / _SPREAD <= spread <= _SPREAD:
        return None
    return (
        f"the first layer sees other values than in training (mean off by {shift:.1f} deviations, "
        f"variance {spread:.2g}x): are input.mean, input.std and input.channels those the network was trained with?"
    )
