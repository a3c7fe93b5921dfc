"""Batch norms whose statistics went into the layers before them: as weights have them that came from another framework.

Such a layer subtracts nothing and divides by one, and adds what is left of it. What it is fed was never normalised, so
that statistics measured anew would be others altogether: it is no normalisation any more, and has to stay as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional

from pipeline.models.form_names import FOLDED_NORM

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FoldedNorm2d", "as_folded", "keep_folded"]

_ONE = 1e-6
"""How far from 1 a variance may be, beside the epsilon, which some converters allow for."""


class FoldedNorm2d(nn.BatchNorm2d):
    """One that answers in training as otherwise; scale and offset learn."""

    recorded_form = FOLDED_NORM

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Scale and add; (batch, channels, height, width)."""
        return functional.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


def keep_folded(network: nn.Module) -> int:
    """Give each such layer that form, in place; how many there are.

    A layer that never learned has no statistics either, but no offset.

    Args:
        network: With weights.
    """
    return sum(as_folded(module) for module in network.modules() if _is_folded(module))


def as_folded(module: nn.Module) -> bool:
    """Give a batch norm that form, in place; whether it is one that can have it."""
    if type(module) is nn.BatchNorm2d:
        module.__class__ = FoldedNorm2d
    return isinstance(module, FoldedNorm2d)


def _is_folded(module: nn.Module) -> bool:
    if type(module) is not nn.BatchNorm2d or module.running_mean is None or module.running_var is None:
        return False
    nothing = not module.running_mean.any() and bool(((module.running_var - 1).abs() <= module.eps + _ONE).all())
    return nothing and module.bias is not None and bool(module.bias.any())
