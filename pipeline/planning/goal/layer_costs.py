"""What each layer of a network costs, and what is left of that when channels go."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from pipeline.models.count import count_macs, count_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from pipeline.pruning.channel_groups import ChannelGroup

__all__ = ["UNSEEN", "LayerCost", "layer_costs", "unseen_share"]

UNSEEN = "unseen"
"""Block of the work that was found in no layer."""
_ENOUGH = 0.5
"""Of a network's multiplications. Products of two activations, as attention has them, are of no layer and always
lacking."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerCost:
    """One convolution or matrix product.

    Attributes:
        name: In the network.
        macs: Multiply-accumulates for an image, as it is.
        params: Of its weights.
        block: Layers of the same block work at the same resolution in the same way: their time per multiplication is
            about the same.
        takes: Roots of the groups its inputs belong to, several behind a concatenation, each with its fraction of them;
            what is lacking stays.
        makes: Root of the group its outputs belong to; None: they stay.
        depthwise: Inputs and outputs are the same channels.
    """

    name: str
    macs: int
    params: int
    block: str
    takes: Mapping[str, float]
    makes: str | None
    depthwise: bool

    def share(self, left: Mapping[str, float]) -> float:
        """What is left of its work.

        Args:
            left: Root to the fraction of its channels that stay.
        """
        makes = left.get(self.makes or "", 1.0)
        if self.depthwise:
            return makes
        return makes * (1 - sum(part * (1 - left.get(root, 1.0)) for root, part in self.takes.items()))


def layer_costs(network: nn.Module, shape: tuple[int, ...], groups: Sequence[ChannelGroup]) -> list[LayerCost]:
    """Every layer that a forward pass multiplies with, in that order, whether it calls the layer or takes its weight.

    A layer that is asked several times, as a head for every level of a pyramid, costs all of them, and is of the block
    of the first; so does one that is asked about more pieces than there are images, as a detector's about boxes. A
    weight that is computed in ``forward``, a standardised one for instance, is that of the module that runs and has a
    parameter of that shape.

    Where less than half of the multiplications are found that there are, the rest stands beside them as a layer for
    each group, in and out of it, as large as its part of all channels: then groups differ in what matters in them, and
    hardly in what they cost. That is of the block :data:`UNSEEN`.

    Args:
        network: In evaluation mode, on the CPU.
        shape: Of its input, with the batch.
        groups: Of its channels.
    """
    makes = {layer: group.root for group in groups for layer in group.makes}
    takes: dict[str, dict[str, float]] = {}
    for group in groups:
        for layer, part in group.takes.items():
            takes.setdefault(layer, {})[group.root] = part
    owners = {
        weight: (name, module)
        for name, module in network.named_modules()
        for weight in module.parameters(recurse=False)
    }
    found: dict[str, LayerCost] = {}
    weighed: set[Tensor] = set()

    def note(weight: Tensor, macs: int, maps: Sequence[int] = ()) -> None:
        owner = owners.get(weight) or next(
            ((name, module) for name, module in reversed(running) if _has_weight_like(module, weight)), None
        )
        if owner is None:
            return
        (name, module), macs = owner, macs // shape[0]
        known, is_new = found.get(name), weight in owners and weight not in weighed
        if is_new:
            weighed.add(weight)
        if known is not None:
            params = known.params + (weight.numel() if is_new else 0)
            found[name] = replace(known, macs=known.macs + macs, params=params)
            return
        depthwise = isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1
        size = "x".join(map(str, maps)) or "linear"
        found[name] = LayerCost(
            name=name,
            macs=macs,
            params=weight.numel(),
            block=f"{size} depthwise" if depthwise else size,
            takes=takes.get(name, {}),
            makes=makes.get(name),
            depthwise=depthwise,
        )

    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one fused call, in which no product is seen
    try:
        with torch.no_grad(), _running(network) as running, _Products(note):
            network(torch.zeros(shape))
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    layers = list(found.values())
    return [*layers, *_unseen(layers, count_macs(network, shape) // shape[0], count_parameters(network), groups)]


def _has_weight_like(module: nn.Module, weight: Tensor) -> bool:
    return any(own.shape == weight.shape for own in module.parameters(recurse=False))


@contextmanager
def _running(network: nn.Module) -> Iterator[list[tuple[str, nn.Module]]]:
    """Within it the modules that are being asked, with their names, the innermost last."""
    running: list[tuple[str, nn.Module]] = []
    names = {module: name for name, module in network.named_modules()}

    def enter(module: nn.Module, _given: object) -> None:
        running.append((names[module], module))

    def leave(_module: nn.Module, _given: object, _answered: object) -> None:
        running.pop()

    handles = [module.register_forward_pre_hook(enter) for module in names]
    handles += [module.register_forward_hook(leave, always_call=True) for module in names]
    try:
        yield running
    finally:
        for handle in handles:
            handle.remove()


def _unseen(layers: Sequence[LayerCost], macs: int, params: int, groups: Sequence[ChannelGroup]) -> list[LayerCost]:
    """What stands for the work that was found in no layer; nothing where enough was found.

    Args:
        layers: Found.
        macs: Of the network.
        params: Of the network.
        groups: Of its channels.
    """
    lacking = macs - sum(layer.macs for layer in layers)
    if lacking <= (1 - _ENOUGH) * macs:
        return []
    rest = LayerCost(
        name=UNSEEN,
        macs=lacking,
        params=params - sum(layer.params for layer in layers),
        block=UNSEEN,
        takes={},
        makes=None,
        depthwise=False,
    )
    channels = sum(group.channels for group in groups)
    return [
        replace(
            rest,
            name=f"{UNSEEN} at {group.root}",
            macs=rest.macs * group.channels // channels,
            params=rest.params * group.channels // channels,
            takes={group.root: 1.0},
            makes=group.root,
        )
        for group in groups
    ] or [rest]


def unseen_share(layers: Sequence[LayerCost]) -> float:
    """Fraction of the multiplications that were found in no layer; 0 where enough were found in one."""
    unseen = sum(layer.macs for layer in layers if layer.block == UNSEEN)
    return unseen / sum(layer.macs for layer in layers) if unseen else 0.0


class _Products(TorchFunctionMode):
    """Within it every convolution and every product with a weight is told."""

    def __init__(self, note: Callable[..., None]) -> None:
        super().__init__()
        self._note = note

    def __torch_function__(
        self,
        func: Any,  # noqa: ANN401 - torch's own signature
        types: Any,  # noqa: ANN401 - as above
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - as above
        answered, named = func(*args, **(kwargs or {})), kwargs or {}
        if func in {functional.linear, functional.conv2d}:
            weight = args[1] if len(args) > 1 else named["weight"]
            if func is functional.conv2d:
                self._note(weight, weight.numel() * answered.numel() // answered.shape[-3], answered.shape[-2:])
            else:
                self._note(weight, weight.numel() * _positions(answered))
        elif func is functional.multi_head_attention_forward:  # what it calls is not told
            queries_keys_and_values = [_positions(given) for given in args[:3]]
            if named.get("use_separate_proj_weight"):
                for name, positions in zip("qkv", queries_keys_and_values, strict=True):
                    weight = named[f"{name}_proj_weight"]
                    self._note(weight, weight.numel() * positions)
            else:  # a third of the weight is for each
                self._note(args[5], args[5].numel() * sum(queries_keys_and_values) // 3)
            self._note(args[11], args[11].numel() * _positions(answered[0]))  # out of the heads
        return answered


def _positions(given: Tensor) -> int:
    """How many vectors it holds."""
    return prod(given.shape[:-1])
