"""A stem that strides further: the network sees all pixels of its input, and what follows works on fewer places.

Its first convolution answers with the mean of several of the answers that it gave before, side by side: one convolution
with a larger kernel, whose weights are sums of the old ones. So nothing of the input is passed over, and what is linear
of the network's function stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from pipeline.errors import UsageError
from pipeline.models.build import modes_kept
from pipeline.models.model_file import describe
from pipeline.models.recorded_forms import NoBlock

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["StemStride", "stride_further"]

StemStride = Literal["earlier", "doubled"]

_WHERE = "downsample.stem"
_POOLS = (nn.MaxPool2d, nn.AvgPool2d)

_Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of a layer: its name, and height and width of what it took and gave."""

    name: str
    layer: nn.Module
    took: _Size
    gave: _Size

    @property
    def stride(self) -> tuple[int, int]:
        """Of a convolution or a pooling; others do not stride."""
        if not isinstance(self.layer, (nn.Conv2d, *_POOLS)):
            return 1, 1
        stride = self.layer.stride
        return (stride, stride) if isinstance(stride, int) else (stride[0], stride[1])

    @property
    def strides(self) -> bool:
        """Whether it makes maps smaller so."""
        return max(self.stride) > 1


def stride_further(network: nn.Module, input_shape: tuple[int, ...], how: StemStride) -> str:
    """Let the first convolution stride further, in place.

    Args:
        network: With weights; its mode is as before afterwards.
        input_shape: (1, channels, height, width).
        how: ``earlier``: it strides as much further as the first layers behind it that stride, and these no longer do,
            so that maps behind them are as large as before; a pooling among them goes. ``doubled``: twice as far, and
            all maps have half their sides.

    Returns:
        What was done, for people.

    Raises:
        UsageError: for a network whose strides cannot be moved so; it is of no use then.
    """
    calls = _calls(network, input_shape)
    place, conv = _first_convolution(calls)
    name, before = calls[place].name, _told(conv)
    if how == "doubled":
        _average(conv, (2, 2))
        return f"{name}: {before} -> {_told(conv)}"
    later = _next_that_stride(calls[place + 1 :])
    _average(conv, later[0].stride)
    told = [f"{name}: {before} -> {_told(conv)}"]
    for call in later:
        if isinstance(call.layer, nn.Conv2d):
            call.layer.stride = (1, 1)
            told.append(f"{call.name} no longer strides")
        else:
            network.set_submodule(call.name, NoBlock())
            told.append(f"{call.name} goes")
    _check_the_rest(network, input_shape, calls, later)
    return ", ".join(told)


@torch.no_grad()
def _calls(network: nn.Module, input_shape: tuple[int, ...]) -> list[_Call]:
    """Every layer that takes and gives maps, in the order in which they are called."""
    found: list[_Call] = []

    def note(name: str, layer: nn.Module, given: tuple[object, ...], answered: object) -> None:
        if given and _is_maps(given[0]) and _is_maps(answered):
            found.append(_Call(name, layer, _size(given[0]), _size(answered)))

    handles = [
        layer.register_forward_hook(lambda layer, given, answered, name=name: note(name, layer, given, answered))
        for name, layer in network.named_modules()
        if next(layer.children(), None) is None
    ]
    try:
        with modes_kept(network):
            network.eval()(torch.zeros(input_shape))
    finally:
        for handle in handles:
            handle.remove()
    return found


def _is_maps(value: object) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim == 4


def _size(maps: object) -> _Size:
    assert isinstance(maps, torch.Tensor)  # noqa: S101 - looked at before
    return maps.shape[2], maps.shape[3]


def _first_convolution(calls: list[_Call]) -> tuple[int, nn.Conv2d]:
    """Its place among the calls, and itself.

    Raises:
        UsageError: when there is none whose answers' mean is a convolution again: without gaps in its kernel, and with
            a fixed number of zeros around the image.
    """
    place, conv = next(
        ((place, call.layer) for place, call in enumerate(calls) if isinstance(call.layer, nn.Conv2d)), (0, None)
    )
    if conv is None:
        raise _refused("it has no first convolution")
    alone = sum(call.layer is conv for call in calls) == 1
    padded = conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
    if not (alone and padded and conv.dilation == (1, 1)):
        raise _refused(f"{calls[place].name} is called again, is dilated, or has no fixed number of zeros around it")
    return place, conv


def _next_that_stride(behind: list[_Call]) -> list[_Call]:
    """The first layer that strides, and those beside it: from maps of the same size to maps of the same size.

    Raises:
        UsageError: when none does, or they are not alike.
    """
    first = next((call for call in behind if call.strides), None)
    if first is None:
        raise _refused("nothing behind its first convolution strides")
    beside = [call for call in behind if call.strides and (call.took, call.gave) == (first.took, first.gave)]
    if len({call.stride for call in beside}) > 1 or len({call.name for call in beside}) < len(beside):
        raise _refused(f"{first.name} does not stride like what is beside it")
    return beside


def _average(conv: nn.Conv2d, factor: tuple[int, int]) -> None:
    """Let a convolution answer with the mean of ``factor`` of its answers down and right, in place."""
    down, right = factor
    step_down, step_right = conv.stride
    high, wide = conv.kernel_size
    grown = (high + step_down * (down - 1), wide + step_right * (right - 1))
    weight: Tensor = torch.zeros(*conv.weight.shape[:2], *grown, dtype=conv.weight.dtype)
    for row in range(down):
        for column in range(right):
            top, left = row * step_down, column * step_right
            weight[:, :, top : top + high, left : left + wide] += conv.weight.detach() / (down * right)
    conv.weight = nn.Parameter(weight, conv.weight.requires_grad)
    conv.kernel_size, conv.stride = grown, (step_down * down, step_right * right)


def _told(conv: nn.Conv2d) -> str:
    return f"{'x'.join(map(str, conv.kernel_size))} stride {'x'.join(map(str, dict.fromkeys(conv.stride)))}"


def _check_the_rest(network: nn.Module, input_shape: tuple[int, ...], before: list[_Call], later: list[_Call]) -> None:
    """See that the layers that no longer stride, and all behind them, give maps of the same sizes as before."""
    try:
        after = _calls(network, input_shape)
    except Exception as error:
        raise _refused(f"it does not answer any more: {describe(error)}") from error
    if len(after) != len(before):
        raise _refused("it would call other layers")
    last, moved = before.index(later[-1]), {call.name for call in later}
    for number, (was, now) in enumerate(zip(before, after, strict=True)):
        if (number > last or was.name in moved) and was.gave != now.gave:
            raise _refused(f"maps at {was.name} would have another size")


def _refused(why: str) -> UsageError:
    return UsageError(
        "this network's stem cannot stride further",
        where=_WHERE,
        got=why,
        fix="leave downsample.stem out, or give a smaller downsample.size",
    )
