"""Parts of a network whose inner channels concern nothing else, for networks that cannot be followed as a whole.

Such a part is a module whose children run one after the other, each on what the one before answered, and that ends in
a convolution or a linear layer: the feed-forward of a transformer's block, an inverted bottleneck, a branch. What goes
in and what comes out stays as it is, so its own small graph says all about the channels in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from collections.abc import Collection

    from torch import Tensor

__all__ = ["StraightPart", "straight_parts"]

_NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)


@dataclass(frozen=True, kw_only=True, slots=True)
class StraightPart:
    """A part.

    Attributes:
        module: Of the network, or one that holds modules of it.
        example: What it was given: (batch, channels, height, width) or (batch, ..., channels).
        tied: Layers whose outputs are the part's, or go channel by channel with what it is given: these stay.
    """

    module: nn.Module
    example: Tensor
    tied: tuple[nn.Module, ...]


def straight_parts(network: nn.Module, example: Tensor, without: Collection[nn.Module] = ()) -> list[StraightPart]:
    """The largest parts with at least two layers, in the order of the network.

    Args:
        network: In eval mode, on the CPU.
        example: Its input, (1, channels, height, width).
        without: Modules that are passed over with all they hold.
    """
    from torchvision.models import ShuffleNetV2

    runs = _runs(network, example)
    found: list[StraightPart] = []
    passed: set[nn.Module] = {inner for module in without for inner in module.modules()}
    for module in network.modules():
        if module in passed or module is network:
            continue
        last = _last_layer(module, runs)
        if last is not None and _followable(module, runs) and len(_layers(module)) > 1:
            tied = (last, *_grouped_at_the_start(module, runs))
            found.append(StraightPart(module=module, example=runs[module][0].given, tied=tied))
            passed |= set(module.modules())
    if isinstance(network, ShuffleNetV2):
        # Between its last convolution and its classifier forward takes the mean: a line without a module.
        tail = nn.Sequential(network.conv5, nn.AdaptiveAvgPool2d(1), nn.Flatten(), network.fc).eval()
        found.append(StraightPart(module=tail, example=runs[network.conv5][0].given, tied=(network.fc,)))
    return found


@dataclass(frozen=True, slots=True)
class _Run:
    """One call of a module with one tensor that answered one."""

    given: Tensor
    answered: Tensor
    place: int


def _runs(network: nn.Module, example: Tensor) -> dict[nn.Module, list[_Run]]:
    """What each module was given and answered, of those that are only asked with one tensor and answer with one.

    All tensors are held, so that two are the same only if they are one.
    """
    found: dict[nn.Module, list[_Run]] = {}
    others: set[nn.Module] = set()

    def remember(module: nn.Module, given: tuple[Any, ...], keywords: dict[str, Any], answered: object) -> None:
        alone = len(given) == 1 and not keywords and isinstance(given[0], torch.Tensor)
        if alone and isinstance(answered, torch.Tensor):
            place = sum(map(len, found.values()))
            found.setdefault(module, []).append(_Run(given[0], answered, place))
        else:
            others.add(module)

    handles = [module.register_forward_hook(remember, with_kwargs=True) for module in network.modules()]
    try:
        with torch.no_grad():
            network(example)
    finally:
        for handle in handles:
            handle.remove()
    return {module: runs for module, runs in found.items() if module not in others}


def _line(module: nn.Module, runs: dict[nn.Module, list[_Run]]) -> list[nn.Module] | None:
    """The module's children as they follow each other from its input to its output; None where they do not."""
    children = list(dict.fromkeys(module.children()))
    if not children or next(module.parameters(recurse=False), None) is not None:
        return None
    if any(len(runs.get(one, ())) != 1 for one in (module, *children)):
        return None
    children.sort(key=lambda child: runs[child][0].place)
    reached = runs[module][0].given
    for child in children:
        if runs[child][0].given is not reached:
            return None
        reached = runs[child][0].answered
    return children if reached is runs[module][0].answered else None


def _last_layer(module: nn.Module, runs: dict[nn.Module, list[_Run]]) -> nn.Module | None:
    """The layer whose channels are those of the module's output; None where that is not plain to see."""
    for child in reversed(_line(module, runs) or ()):
        if isinstance(child, nn.Conv2d | nn.Linear):
            return child
        if next(child.children(), None) is not None:
            return _last_layer(child, runs)
        if next(child.parameters(), None) is not None and not isinstance(child, _NORMS):
            return None
    return None


def _followable(module: nn.Module, runs: dict[nn.Module, list[_Run]]) -> bool:
    """Whether all in it ran, and nothing is deeper than a gate on channels such as squeeze-and-excitation."""
    if any(len(runs.get(layer, ())) != 1 for layer in _layers(module)):
        return False
    line = _line(module, runs)
    if line is None:
        return all(next(child.children(), None) is None for child in module.children())
    return all(_followable(child, runs) for child in line)


def _layers(module: nn.Module) -> list[nn.Module]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]


def _grouped_at_the_start(module: nn.Module, runs: dict[nn.Module, list[_Run]]) -> list[nn.Module]:
    """The convolutions before the first that mixes all channels."""
    found: list[nn.Module] = []
    for layer in sorted(_layers(module), key=lambda one: runs[one][0].place):
        if not isinstance(layer, nn.Conv2d) or layer.groups == 1:
            break
        found.append(layer)
    return found
