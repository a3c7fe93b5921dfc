"""Convolutions that give a single pixel, as the products of matrices that they are."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeGuard

from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

__all__ = ["one_pixel_products"]


@contextmanager
def one_pixel_products(network: nn.Module) -> Iterator[None]:
    """Within it the network's convolutions are computed as products of matrices where their output is one pixel.

    Networks for large images come to maps of one pixel on small ones: the last group of a ResNet at 32 pixels. There a
    kernel of nine taps meets eight times nothing but padding, which oneDNN multiplies all the same, and its gradients
    of such layers take five times as long as the products do on a CPU with AVX2. Only taps that meet the image are
    multiplied here; the others' gradient is 0. Sums are rounded otherwise.

    Those of the layers that are grouped, dilated, padded with something else than zeros, or of a class of their own
    stay as they are.

    Args:
        network: Whose layers; copies of it that are made within keep what is done here.
    """
    layers = [layer for layer in network.modules() if _has_a_product(layer)]
    for layer in layers:
        # In the layer, where checkpointed blocks find it when the backward pass computes them again.
        layer.forward = partial(_forward, layer)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _has_a_product(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    return (
        type(layer) is nn.Conv2d
        and "forward" not in vars(layer)
        and layer.groups == 1
        and layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
    )


def _forward(layer: nn.Conv2d, images: Tensor) -> Tensor:
    """(batch, channels, height, width) to what the layer makes of it; what is no such input PyTorch refuses itself."""
    fits = images.ndim == layer.weight.ndim and images.shape[1] == layer.in_channels and min(images.shape[2:]) > 0
    taps = _taps(layer, images) if fits else None
    if taps is None:
        return nn.Conv2d.forward(layer, images)
    rows, columns = taps
    pixels = images[:, :, : rows.stop - rows.start, : columns.stop - columns.start].flatten(1)
    return functional.linear(pixels, layer.weight[:, :, rows, columns].flatten(1), layer.bias)[:, :, None, None]


def _taps(layer: nn.Conv2d, images: Tensor) -> list[slice] | None:
    """Rows and columns of the kernel that meet the image; None where the output has more than one pixel, or none."""
    found = []
    for side, kernel, stride, padding in zip(
        images.shape[2:], layer.kernel_size, layer.stride, map(int, layer.padding), strict=True
    ):
        if (side + 2 * padding - kernel) // stride != 0:
            return None
        found.append(slice(padding, max(padding, min(kernel, padding + side))))
    return found
