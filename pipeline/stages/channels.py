"""Taking channels out of a network: a thin, typed wrapper of torch-pruning's dependency graph."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import nn

from pipeline.errors import EdgewrightError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ChannelPruner"]


class ChannelPruner:
    """Removes the groups of coupled channels whose weights are smallest, in place.

    Fang, Ma, Song, Mi and Wang, "DepGraph: Towards Any Structural Pruning", 2023 (arXiv:2301.12900).

    Args:
        network: Pruned in place; in eval mode, on the CPU.
        input_shape: With the batch: (1, 3, height, width).
        outputs: Number of classes; the layer that makes them keeps its outputs.
        ratio: Fraction of every layer's channels to remove in all.
        rounds: In so many calls of :meth:`step`.
        round_to: Channel numbers stay multiples of this.

    Raises:
        EdgewrightError: when the network's graph cannot be followed.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        input_shape: tuple[int, ...],
        outputs: int,
        ratio: float,
        rounds: int,
        round_to: int,
    ) -> None:
        import torch_pruning

        self._network = network
        self._example = example = torch.zeros(input_shape)
        with warnings.catch_warnings():
            # It tells which axis of free parameters it chose; the tests of stored networks cover that choice.
            warnings.simplefilter("ignore")
            try:
                self._pruner = torch_pruning.pruner.BasePruner(
                    network,
                    example,
                    importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
                    pruning_ratio=ratio,
                    pruning_ratio_dict=_caps(network, ratio, round_to),
                    iterative_steps=rounds,
                    ignored_layers=[_last_layer(network, example, outputs)],
                    round_to=round_to,
                )
            except (RuntimeError, ValueError, AssertionError, ZeroDivisionError) as error:
                raise self._unprunable(error) from error

    def step(self) -> None:
        """Remove the channels of one round.

        Raises:
            EdgewrightError: when nothing could be removed, or the network no longer runs.
        """
        before = sum(parameter.numel() for parameter in self._network.parameters())
        try:
            self._pruner.step()
            with torch.no_grad():
                self._network(self._example)  # shapes written into forward are met here rather than in training
        except (RuntimeError, ValueError, AssertionError, ZeroDivisionError) as error:
            raise self._unprunable(error) from error
        if sum(parameter.numel() for parameter in self._network.parameters()) == before:
            raise self._unprunable("no channel could be removed")

    @staticmethod
    def _unprunable(reason: object) -> EdgewrightError:
        return EdgewrightError(
            "this network's channels cannot be pruned",
            where="prune",
            got=str(reason) or type(reason).__name__,
            fix="run without it: --skip prune",
        )


def _caps(network: nn.Module, ratio: float, round_to: int) -> dict[nn.Module, float]:
    """Smaller ratios for layers of which less than ``round_to`` channels would stay: those would lose none at all."""
    caps: dict[nn.Module, float] = {}
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            channels = module.out_channels if isinstance(module, nn.Conv2d) else module.out_features
            if channels > round_to > channels * (1 - ratio):
                caps[module] = 1 - round_to / channels
    return caps


def _last_layer(network: nn.Module, example: Tensor, outputs: int) -> nn.Module:
    """The layer that makes the classes: the last one to run whose outputs are as many as there are classes."""
    seen: list[nn.Module] = []

    def remember(module: nn.Module, _inputs: object, _output: object) -> None:
        if outputs in (getattr(module, "out_features", None), getattr(module, "out_channels", None)):
            seen.append(module)

    handles = [module.register_forward_hook(remember) for module in network.modules()]
    try:
        with torch.no_grad():
            network.eval()(example)
    finally:
        for handle in handles:
            handle.remove()
    if not seen:
        raise EdgewrightError(
            "no layer with one output a class was found", where="prune", expected=f"a layer with {outputs} outputs"
        )
    return seen[-1]
