"""Convolutions that give a single pixel, as the products of matrices that they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

__all__ = ["OnePixelProducts"]


class OnePixelProducts(TorchFunctionMode):
    """While it is entered, convolutions whose output is one pixel are computed as products of matrices.

    Networks for large images come to maps of one pixel on small ones: the last group of a ResNet at 32 pixels. There a
    kernel of nine taps meets eight times nothing but padding, which oneDNN multiplies all the same, and its gradients
    of such layers take five times as long as the products do on a CPU with AVX2. Only taps that meet the image are
    multiplied here; the others' gradient is 0. Sums are rounded otherwise.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever ``func`` gives
        """Do what was asked for; a convolution by its product where it has one."""
        named = kwargs or {}
        if func is torch.conv2d and (product := _product(*args, **named)) is not None:
            return product
        return func(*args, **named)


def _product(  # noqa: PLR0913, PLR0917 - as torch.conv2d
    input: Tensor,  # noqa: A002 - its name there
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: str | int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Tensor | None:
    """(batch, channels, 1, 1); None where the output has more pixels, or it takes more than one product."""
    if isinstance(padding, str) or groups != 1 or input.ndim != weight.ndim or _pair(dilation) != (1, 1):
        return None
    taps = []
    for size, kernel, step, around in zip(
        input.shape[2:], weight.shape[2:], _pair(stride), _pair(padding), strict=True
    ):
        if (size + 2 * around - kernel) // step != 0:
            return None
        taps.append(slice(around, min(kernel, around + size)))
    rows, columns = (slice(0, tap.stop - tap.start) for tap in taps)
    met = weight[:, :, taps[0], taps[1]].flatten(1)
    return functional.linear(input[:, :, rows, columns].flatten(1), met, bias)[:, :, None, None]


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    """For height and width, of which one number means both."""
    return (value, value) if isinstance(value, int) else tuple(value) * (2 // len(value))
