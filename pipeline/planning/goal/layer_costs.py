"""What each layer of a network costs, and what is left of that when channels go."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from pipeline.pruning.channel_groups import ChannelGroup

__all__ = ["LayerCost", "layer_costs"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerCost:
    """One convolution or matrix product.

    Attributes:
        name: In the network.
        macs: Multiply-accumulates for an image, as it is.
        params: Of its weights.
        block: Layers of the same block work at the same resolution in the same way: their time per multiplication is
            about the same.
        takes: Root of the group its inputs belong to; None: they stay.
        makes: The same of its outputs.
        depthwise: Inputs and outputs are the same channels.
    """

    name: str
    macs: int
    params: int
    block: str
    takes: str | None
    makes: str | None
    depthwise: bool

    def share(self, left: Mapping[str, float]) -> float:
        """What is left of its work.

        Args:
            left: Root to the fraction of its channels that stay.
        """
        makes = left.get(self.makes or "", 1.0)
        return makes if self.depthwise else makes * left.get(self.takes or "", 1.0)


def layer_costs(network: nn.Module, shape: tuple[int, ...], groups: Sequence[ChannelGroup]) -> list[LayerCost]:
    """Every layer that a forward pass runs, in that order.

    Args:
        network: In evaluation mode, on the CPU.
        shape: Of its input, with the batch.
        groups: Of its channels.
    """
    makes = {layer: group.root for group in groups for layer in group.makes}
    takes = {layer: group.root for group in groups for layer in group.takes}
    found: dict[str, LayerCost] = {}

    def note(name: str, module: nn.Module, output: Tensor) -> None:
        weight = module.weight
        assert isinstance(weight, torch.Tensor)  # noqa: S101 - convolutions and linear layers have one
        positions = prod(output.shape[2:]) if isinstance(module, nn.Conv2d) else max(1, prod(output.shape[1:-1]))
        depthwise = isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1
        size = "x".join(map(str, output.shape[2:])) if isinstance(module, nn.Conv2d) else "linear"
        found[name] = LayerCost(
            name=name,
            macs=weight.numel() * positions,
            params=weight.numel(),
            block=f"{size} depthwise" if depthwise else size,
            takes=takes.get(name),
            makes=makes.get(name),
            depthwise=depthwise,
        )

    hooks = [
        module.register_forward_hook(lambda module, _inputs, output, name=name: note(name, module, output))
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    try:
        with torch.no_grad():
            network(torch.zeros(shape))
    finally:
        for hook in hooks:
            hook.remove()
    return list(found.values())
