"""Weights that are computed from others at every inference, made plain: the same function, without the detour.

Weight normalisation and spectral normalisation keep a weight as a direction and a length, or divide it by its largest
singular value, for the sake of training. A pruner cannot take channels out of a weight that is computed, and a device
need not compute it again for every image.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.utils import parametrize, remove_spectral_norm, remove_weight_norm

from pipeline.errors import ParityError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["make_plain"]

_OLDER_WAY: dict[str, Callable[[Any, str], object]] = {
    "WeightNorm": remove_weight_norm,
    "SpectralNorm": remove_spectral_norm,
}
"""Class of the hook that computes the weight, to what removes it."""

_TOLERANCE = 1e-4
"""Of the largest output: a weight that was computed once more differs in its last places."""


def make_plain(network: nn.Module, probe: torch.Tensor | None = None) -> tuple[str, ...]:
    """Replace every computed weight by its present value, in place.

    Args:
        network: In any mode, which it keeps; it has its final weights already.
        probe: An input, (batch, channels, height, width), on which the outputs before and after are compared.

    Returns:
        The names of the modules that were changed.

    Raises:
        ParityError: when the outputs differ.
    """
    owners = {name: removers for name, module in network.named_modules() if (removers := _removers(module))}
    if not owners:
        return ()
    was_training = {module: module.training for module in network.modules()}
    network.eval()  # spectral normalisation would take another step towards the singular vector
    before = None if probe is None else network(probe.clone()).detach()
    for removers in owners.values():
        for remove in removers:
            remove()  # not without gradients: a weight made of two others would come out as no parameter
    after = None if probe is None else network(probe.clone()).detach()
    for module, training in was_training.items():
        module.training = training
    if before is not None and after is not None:
        _compare(before, after, tuple(owners))
    return tuple(owners)


def _removers(module: nn.Module) -> list[Callable[[], object]]:
    """What makes the module's weights plain, whichever of torch's two ways they were wrapped in."""
    found: list[Callable[[], object]] = []
    if parametrize.is_parametrized(module):
        found += [
            partial(parametrize.remove_parametrizations, module, name, leave_parametrized=True)
            for name in dict(module.parametrizations.named_children())  # type: ignore[union-attr] # a ModuleDict
        ]
    for hook in list(module._forward_pre_hooks.values()):  # noqa: SLF001 - where the older way keeps itself
        remover = _OLDER_WAY.get(type(hook).__name__)
        if remover is not None:
            found.append(partial(_without_hooks, remover, module, vars(hook)["name"]))
    return found


def _without_hooks(remover: Callable[[Any, str], object], module: nn.Module, name: str) -> None:
    """Remove the older way with what it does when weights are loaded, which torch does not find any more."""
    remover(module, name)
    waiting = module._load_state_dict_pre_hooks  # noqa: SLF001 - there is no public way to them
    for key, hook in list(waiting.items()):
        inner: Any = getattr(hook, "hook", hook)
        if type(inner).__name__ == "SpectralNormLoadStateDictPreHook" and inner.fn.name == name:
            del waiting[key]


def _compare(before: torch.Tensor, after: torch.Tensor, names: tuple[str, ...]) -> None:
    off = float((before - after).abs().max() / before.abs().max().clamp_min(torch.finfo(before.dtype).tiny))
    if not off <= _TOLERANCE:
        raise ParityError(
            "a network whose computed weights are made plain answers differently",
            where=", ".join(names),
            got=f"outputs differ by {100 * off:.3g} % of the largest",
            fix="remove the parametrisations in the factory, once the weights are loaded",
        )
