"""Taking channels out of a network: a thin, typed wrapper of torch-pruning's dependency graph."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import nn

from pipeline.errors import EdgewrightError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["ChannelPruner"]


class ChannelPruner:
    """Removes the groups of coupled channels whose weights are smallest, in place.

    Fang, Ma, Song, Mi and Wang, "DepGraph: Towards Any Structural Pruning", 2023 (arXiv:2301.12900).

    Args:
        network: Pruned in place; in eval mode, on the CPU.
        input_shape: With the batch: (1, 3, height, width).
        outputs: Of the layer that answers, which keeps them: the number of classes, or one.
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
                    ignored_layers=_last_layers(network, example, outputs),
                    round_to=round_to,
                    forward_fn=_with_auxiliary,
                )
            except EdgewrightError:
                raise
            except Exception as error:  # the graph trips over what it does not know in as many ways as there are
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
                _with_auxiliary(
                    self._network, self._example
                )  # shapes written into forward are met here rather than in training
        except Exception as error:  # as above, and whatever the user's forward raises
            raise self._unprunable(error) from error
        if sum(parameter.numel() for parameter in self._network.parameters()) == before:
            raise self._unprunable("no channel could be removed")

    @staticmethod
    def _unprunable(reason: object) -> EdgewrightError:
        return EdgewrightError(
            "this network's channels cannot be pruned",
            where="prune",
            got=_one_line(reason),
            fix="run without it: --skip prune",
        )


def _one_line(reason: object) -> str:
    """The reason without the lines that only its library's authors can read."""
    text = (str(reason).strip().splitlines() or [""])[0]
    kind = f"{type(reason).__name__}: " if isinstance(reason, Exception) else ""
    return f"{kind}{text}" if text else kind.rstrip(": ")


def _caps(network: nn.Module, ratio: float, round_to: int) -> dict[nn.Module, float]:
    """Smaller ratios for layers of which less than ``round_to`` channels would stay: those would lose none at all."""
    caps: dict[nn.Module, float] = {}
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            channels = module.out_channels if isinstance(module, nn.Conv2d) else module.out_features
            if channels > round_to > channels * (1 - ratio):
                caps[module] = 1 - round_to / channels
    return caps


def _with_auxiliary(network: nn.Module, example: Tensor) -> Tensor | tuple[Tensor, ...]:
    """All the network answers in training, auxiliary classifiers too: their inputs are cut with the trunk's outputs.

    Only modules that hold others are told that they train, since it is they who decide what is answered; a batch norm
    or a dropout goes on as in evaluation. The network is in eval mode afterwards.
    """
    for module in network.modules():
        module.training = next(module.children(), None) is not None
    try:
        answered: Tensor | tuple[Tensor, ...] = network(example)
    finally:
        network.eval()
    return answered


def _last_layers(network: nn.Module, example: Tensor, outputs: int) -> list[nn.Module]:
    """The layers that make the classes: the last one to run whose outputs are as many, and those of auxiliary heads.

    Raises:
        EdgewrightError: when there is none.
    """
    main = _layers_with(network, outputs, lambda: network.eval()(example))
    if not main:
        raise EdgewrightError(
            "the layer that answers was not found", where="prune", expected=f"a layer with {outputs} output(s)"
        )
    every = _layers_with(network, outputs, lambda: _with_auxiliary(network, example))
    return [main[-1], *(layer for layer in every if layer not in main)]


def _layers_with(network: nn.Module, outputs: int, forward: Callable[[], object]) -> list[nn.Module]:
    """The layers with so many outputs, in the order in which a forward pass runs them."""
    seen: list[nn.Module] = []

    def remember(module: nn.Module, _inputs: object, _output: object) -> None:
        if outputs in (getattr(module, "out_features", None), getattr(module, "out_channels", None)):
            seen.append(module)

    handles = [module.register_forward_hook(remember) for module in network.modules()]
    try:
        with torch.no_grad():
            forward()
    finally:
        for handle in handles:
            handle.remove()
    return seen
