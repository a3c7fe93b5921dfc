"""Whether channels that are said to go together do: whether they may change places.

A channel can go where it is one of many alike. Those of a group are, if the network answers as before once they have
changed places in every layer that makes or takes them. Where a shuffle of channels, the heads of an attention, the
halves of a gate or another layer's weights lie between, it does not: then other inputs would be taken from a layer than
those whose channels went, or more channels than were asked for.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrize import is_parametrized
from torchvision.ops import FrozenBatchNorm2d

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

__all__ = ["Coupled", "Move", "exchange", "not_exchangeable"]

_SAME = 2e-5
"""Of the largest answer: sums in another order were seen to differ by 3e-6, a wrong place of weights that never learned
by 3e-4 and more."""
_NORMS = (_NormBase, nn.GroupNorm, FrozenBatchNorm2d)


@dataclass(frozen=True, kw_only=True, slots=True)
class Coupled:
    """What of a group lies in one layer.

    Attributes:
        module: The layer, or a parameter that belongs to none.
        name: Of it in the module that is followed.
        gives: Whether these are the channels that it makes.
        places: Of the channels in the layer.
        roots: Which of the group's channels each of them is.
        dim: Of a parameter that belongs to no layer.
    """

    module: nn.Module | nn.Parameter
    name: str
    gives: bool
    places: Sequence[int]
    roots: Sequence[int]
    dim: int


@dataclass(frozen=True, slots=True)
class _Lying:
    """Where the channels that a layer makes or takes lie.

    Attributes:
        tensor: Of the layer, by name.
        dim: Along which.
        size: How many places there are for them.
        parts: Of a grouped convolution, whose inputs share these places.
        times: They lie there, one after the other: queries, keys and values.
    """

    tensor: str
    dim: int
    size: int
    parts: int = 1
    times: int = 1


@dataclass(frozen=True, slots=True)
class Move:
    """Places of a tensor that change.

    Attributes:
        tensor: Its name in the module that is followed.
        dim: Along which.
        order: From which place what stands at each comes then, (size,).
    """

    tensor: str
    dim: int
    order: Tensor


def exchange(coupled: Sequence[Coupled], channels: int, copies: int) -> list[Move] | None:
    """How a group's channels change places by chance, those among each other that each layer has equally often.

    Args:
        coupled: All its layers.
        channels: Of the group.
        copies: So many can only go at once, each of another part of the channels.

    Returns:
        None where there is a layer of which it is not known how.
    """
    each = channels // copies
    if each * copies != channels:
        return None
    places = [_by_root(one, channels) for one in coupled]
    alike: dict[tuple[int, ...], list[int]] = {}
    for unit in range(each):
        often = tuple(len(by[part * each + unit]) for by in places for part in range(copies))
        alike.setdefault(often, []).append(unit)
    moved = torch.arange(each)
    chance = torch.Generator().manual_seed(0)
    for units in alike.values():
        own = torch.tensor(units)
        moved[own] = own[torch.randperm(len(units), generator=chance)]
    goes = torch.cat([moved + part * each for part in range(copies)]).tolist()
    found: dict[tuple[str, int], Move] = {}
    for one, by in zip(coupled, places, strict=True):
        pairs = [
            pair for root, other in enumerate(goes) for pair in zip(by[root], by[other], strict=True) if root != other
        ]
        moves = _moves(one, dict(pairs))
        if moves is None:
            return None
        found |= {(move.tensor, move.dim): move for move in moves}
    return list(found.values())


def not_exchangeable(module: nn.Module, example: Tensor, groups: Mapping[str, Sequence[Move]]) -> list[str]:
    """Of the groups, by a name of each, those whose channels may not change places; none where nothing can be told.

    Args:
        module: That is followed, in evaluation mode; stays as it is.
        example: An input's shape.
        groups: How their channels change places.
    """
    chance = torch.Generator().manual_seed(0)
    tried = deepcopy(module)
    inputs = torch.randn(example.shape, generator=chance)

    def answered() -> tuple[Tensor, ...]:
        with torch.no_grad():
            said = tried(inputs)
        return (said,) if isinstance(said, torch.Tensor) else tuple(said)

    def fail(names: Sequence[str]) -> Iterator[str]:
        """Those of several that fail: halves of them are tried until they are alone."""
        every = [move for name in names for move in groups[name]]
        for move in every:
            _reorder(tried, move, move.order)
        same = _are_same(expected, answered())
        for move in reversed(every):
            _reorder(tried, move, move.order.argsort())
        if same:
            return
        if len(names) == 1:
            yield names[0]
            return
        middle = len(names) // 2
        yield from fail(names[:middle])
        yield from fail(names[middle:])

    with torch.no_grad():
        _tell_apart(tried, chance)
    expected = answered()
    if not _are_same(expected, answered()):  # by chance, or without bounds
        return []
    return list(fail(list(groups)))


def _by_root(coupled: Coupled, channels: int) -> list[list[int]]:
    """The places of each of the group's channels, ascending."""
    found: list[list[int]] = [[] for _ in range(channels)]
    for place, root in sorted(zip(coupled.places, coupled.roots, strict=True)):
        found[root].append(place)
    return found


def _moves(coupled: Coupled, comes_from: Mapping[int, int]) -> list[Move] | None:
    """Those of a layer's tensors; None where it is not known where its channels lie."""
    module = coupled.module
    if isinstance(module, nn.Parameter):
        return [Move(coupled.name, coupled.dim, _order(module.shape[coupled.dim], comes_from))]
    if not [*module.parameters(), *module.buffers()]:
        return []
    lying = _lying(module, gives=coupled.gives)
    if lying is None:
        return None
    found = []
    for one in lying:
        order = _order(one.size * one.parts, comes_from).view(one.parts, one.size)
        within = order - one.size * torch.arange(one.parts)[:, None]
        if not bool((within == within[0]).all()):
            return None
        whole = torch.cat([within[0] + one.size * number for number in range(one.times)])
        found.append(Move(f"{coupled.name}.{one.tensor}" if coupled.name else one.tensor, one.dim, whole))
    return found


def _order(size: int, comes_from: Mapping[int, int]) -> Tensor:
    order = torch.arange(size)
    for place, other in comes_from.items():
        order[place] = other
    return order


def _lying(module: nn.Module, *, gives: bool) -> list[_Lying] | None:  # noqa: PLR0911 - a table
    """Where a layer's channels lie; None: not known."""
    if is_parametrized(module):
        return None
    match module:
        case _ConvNd():
            return _of_convolution(module, gives=gives)
        case nn.Linear() if gives:
            return _there(module, {"weight": 0, "bias": 0})
        case nn.Linear():
            return _there(module, {"weight": 1})
        case nn.LayerNorm() if len(module.normalized_shape) == 1:
            return _there(module, {"weight": 0, "bias": 0})
        case nn.PReLU():
            return _there(module, {"weight": 0}) if module.num_parameters > 1 else []
        case nn.Embedding():
            return _there(module, {"weight": 1})
        case nn.MultiheadAttention() if module.in_proj_weight is not None and module.bias_k is None:
            behind = [("out_proj.weight", 0), ("out_proj.weight", 1), ("out_proj.bias", 0)]
            found = [_Lying(name, dim, module.embed_dim) for name, dim in (("in_proj_weight", 1), *behind)]
            found += [_Lying(name, 0, module.embed_dim, times=3) for name in ("in_proj_weight", "in_proj_bias")]
            there = dict(module.named_parameters())
            return [one for one in found if one.tensor in there]
    if isinstance(module, _NORMS):
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        return [_Lying(name, 0, len(tensor)) for name, tensor in own if tensor.ndim == 1]
    return None


def _of_convolution(module: _ConvNd, *, gives: bool) -> list[_Lying] | None:
    if module.groups == module.out_channels > 1:  # depthwise: what comes in is what goes out
        return _there(module, {"weight": 0, "bias": 0})
    if module.transposed and module.groups > 1:
        return None
    if gives:
        return _there(module, {"weight": 1 if module.transposed else 0, "bias": 0})
    dim = 0 if module.transposed else 1
    return [_Lying("weight", dim, module.in_channels // module.groups, parts=module.groups)]


def _there(module: Any, dims: Mapping[str, int]) -> list[_Lying]:  # noqa: ANN401 - any layer
    """Of those tensors the ones that the layer has."""
    tensors = {name: getattr(module, name) for name in dims}
    return [_Lying(name, dim, tensors[name].shape[dim]) for name, dim in dims.items() if tensors[name] is not None]


def _reorder(module: nn.Module, move: Move, order: Tensor) -> None:
    """In place, so that what is tied stays so."""
    path, _, name = move.tensor.rpartition(".")
    tensor = getattr(module.get_submodule(path), name).data
    tensor.copy_(tensor.index_select(move.dim, order))


def _tell_apart(module: nn.Module, chance: torch.Generator) -> None:
    """Draw what has one value for all channels, as a new batch norm does, so that a wrong place shows."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point() and tensor.numel() > 1 and bool((tensor == tensor.flatten()[0]).all()):
            tensor.copy_(torch.rand(tensor.shape, generator=chance) + 0.5)


def _are_same(before: Sequence[Tensor], after: Sequence[Tensor]) -> bool:
    """Whether answers are, but for rounding; those without bounds are not."""
    return all(
        bool((one - other).abs().max() <= _SAME * one.abs().max()) for one, other in zip(before, after, strict=True)
    )
