"""Whether a network is fed what it was trained with: its first batch normalisation remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

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

    Args:
        network: In evaluation mode.
        images: Prepared inputs, each (1, 3, height, width).
    """
    import torch
    from torch import nn

    met: list[tuple[Any, Any]] = []

    def look(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not met or met[0][0] is module:
            met.append((module, inputs[0].transpose(0, 1).flatten(1)))

    hooks = [
        module.register_forward_pre_hook(look) for module in network.modules() if isinstance(module, nn.BatchNorm2d)
    ]
    try:
        with torch.inference_mode():
            for image in images:
                network(torch.from_numpy(image))
    finally:
        for hook in hooks:
            hook.remove()
    if not met or met[0][0].running_var is None:
        return None
    trained = met[0][0]
    seen = torch.cat([values for _, values in met], dim=1)
    variance = trained.running_var + trained.eps
    shift = float(((seen.mean(dim=1) - trained.running_mean).square().sum() / variance.sum()).sqrt())
    spread = float(seen.var(dim=1).sum() / variance.sum())
    if shift <= _SHIFT and 1 / _SPREAD <= spread <= _SPREAD:
        return None
    return (
        f"the first layer sees other values than in training (mean off by {shift:.1f} deviations, "
        f"variance {spread:.2g}x): are input.mean, input.std and input.channels those the network was trained with?"
    )
